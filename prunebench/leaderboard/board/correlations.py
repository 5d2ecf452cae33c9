"""Correlation of accuracy with what explanations tell, over levels of compression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.leaderboard.board.rank import by_pruner
from prunebench.leaderboard.board.rows import Row, the

LEAST_POINTS = 3
LEAST_FOR_RANKS = 10
"""Points from which on Spearman's rho is near enough to t-distributed to have a p-value."""
EXACT = 1e-9
"""Coefficients nearer than this are equal but for rounding."""
CAUTION = (
    "Levels of one pruner are nested and come from one baseline: they are not independent. "
    "p-values are as if they were, which they are not."
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficient:
    """One coefficient of correlation.

    Attributes:
        value: In [-1, 1].
        p: As if points were independent, which levels of one run are not; None for ranks of
            fewer than ten points.
        low: Lower end of the 95% t-interval over seeds, of each seed's own coefficient; None with
            fewer than three seeds, and where the seeds' coefficients give none.
        high: Upper end.
    """

    value: float
    p: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Correlation:
    """How a value goes with accuracy over some rows.

    Attributes:
        name: Of the value, such as ``soft_iou/grad-cam``.
        points: Rows that have both.
        pearson: Of the values themselves; None where it is not defined.
        spearman: Of their ranks.
        reason: Why there is none.
    """

    name: str
    points: int
    pearson: Coefficient | None = None
    spearman: Coefficient | None = None
    reason: str | None = None


def explanation_values(rows: Iterable[Row]) -> tuple[str, ...]:
    """Names of the values of maps that any row has, such as ``sp2ps/grad-cam``, by metric."""
    names = {name for row in rows for name in row.estimates if "/" in name}
    return tuple(sorted(names))


def lines(rows: Sequence[Row], axis: str) -> list[tuple[str, list[Row]]]:
    """Each pruner's levels on an axis, after the ``none`` control at 0, from where they start."""
    control = the(rows, "control")
    start = [control] if control else []
    return [(pruner, start + levels) for pruner, levels in by_pruner(rows, axis)]


def all_networks(rows: Sequence[Row], axis: str) -> list[Row]:
    """All compressed rows on an axis and the ``none`` control, each once."""
    control = the(rows, "control")
    levels = [row for _, levels in by_pruner(rows, axis) for row in levels]
    return ([control] if control else []) + levels


def correlate(rows: Sequence[Row], names: Sequence[str]) -> list[Correlation]:
    """Correlates accuracy with values over rows: Pearson's r and Spearman's rho.

    Coefficients are of the means over seeds. Where all rows have the same three seeds or more,
    each seed has a coefficient of its own, and the interval is Student's t of these by Fisher's
    z = artanh(r) (Fisher 1921): what other seeds would give, not what other levels would. Means
    are less noisy than single seeds, so that the coefficient can lie outside of it. There is no
    interval where a seed has a coefficient of 1 or -1, whose z is infinite, or none, or where all
    seeds have the same, which tells nothing of chance.

    Args:
        rows: Levels of one pruner, or all rows of a protocol.
        names: The values.

    Returns:
        One correlation for each name, in their order.
    """
    found: dict[str, Correlation] = {}
    by_rows: dict[tuple[int, ...], list[str]] = {}
    having = [
        index
        for index, row in enumerate(rows)
        if not row.missing and row.get("accuracy").mean is not None
    ]
    for name in names:
        present = tuple(index for index in having if rows[index].get(name).mean is not None)
        if len(present) < LEAST_POINTS:
            reason = f"{len(present)} of the {LEAST_POINTS} points that are needed"
            found[name] = Correlation(name, len(present), reason=reason)
        else:
            by_rows.setdefault(present, []).append(name)
    for present, alike in by_rows.items():
        for each in _over([rows[index] for index in present], alike):
            found[each.name] = each
    return [found[name] for name in names]


def _over(rows: Sequence[Row], names: Sequence[str]) -> list[Correlation]:
    """All names at once; every row has a value of each."""
    accuracy = _means(rows, ["accuracy"])[0]
    values = _means(rows, names)
    n = len(rows)
    if _constant(accuracy):
        return [Correlation(name, n, reason="accuracy is the same at all points") for name in names]
    changing = [index for index in range(len(names)) if not _constant(values[index])]
    found = {
        name: Correlation(name, n, reason="the value is the same at all points") for name in names
    }
    if changing:
        chosen = [names[index] for index in changing]
        pearson = _coefficients(accuracy, values[changing])
        spearman = _coefficients(_ranks(accuracy), _ranks(values[changing]))
        spreads = _spreads(rows, chosen)
        for index, name in enumerate(chosen):
            rho, p = spearman[index]
            found[name] = Correlation(
                name,
                n,
                Coefficient(*pearson[index], *spreads[0][index]),
                Coefficient(rho, p if n >= LEAST_FOR_RANKS else None, *spreads[1][index]),
            )
    return [found[name] for name in names]


def _means(rows: Sequence[Row], names: Sequence[str]) -> Floats:
    return np.array([[row.get(name).mean for row in rows] for name in names], dtype=np.float64)


def _constant(values: Floats) -> bool:
    return bool(np.ptp(values) <= 1e-12)


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), dtype=np.float64)


def _coefficients(accuracy: Floats, values: Floats) -> list[tuple[float, float]]:
    """Pearson's r of each line of values with accuracy, and its p-value by Student's t."""
    from scipy.special import stdtr

    found = _pearson(np.broadcast_to(accuracy, values.shape), values)
    freedom = len(accuracy) - 2
    with np.errstate(divide="ignore"):
        t = np.abs(found) * np.sqrt(freedom / (1 - found**2))
    return [(float(r), float(p)) for r, p in zip(found, 2 * stdtr(freedom, -t), strict=True)]


def _pearson(first: Floats, second: Floats) -> Floats:
    """Pearson's r along the last axis; NaN where one of the two is constant."""
    first = first - first.mean(axis=-1, keepdims=True)
    second = second - second.mean(axis=-1, keepdims=True)
    size = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    found = (first * second).sum(axis=-1) / np.where(size > 1e-12, size, np.nan)
    return np.asarray(np.clip(found, -1, 1))


Spread = list[tuple[float | None, float | None]]


def _spreads(rows: Sequence[Row], names: Sequence[str]) -> tuple[Spread, Spread]:
    """The 95% intervals over seeds of Pearson's r and Spearman's rho, for each name."""
    seeds = {tuple(record.seed for record in row.records) for row in rows}
    count = len(rows[0].records)
    if len(seeds) != 1 or count < LEAST_SEEDS:
        nothing: Spread = [(None, None)] * len(names)
        return nothing, nothing
    accuracy = _by_seed(rows, "accuracy")
    values = np.stack([_by_seed(rows, name) for name in names])
    pearson = _pearson(accuracy, values)
    spearman = _pearson(_ranks(accuracy), _ranks(values))
    return [_interval(each) for each in pearson], [_interval(each) for each in spearman]


def _by_seed(rows: Sequence[Row], name: str) -> Floats:
    """One line a seed, one column a row."""
    columns = [[record.mean(name) for record in row.records] for row in rows]
    return np.array(columns, dtype=np.float64).T


def _interval(found: Floats) -> tuple[float | None, float | None]:
    """Student's t over the seeds' coefficients on Fisher's z; nothing where that is not defined."""
    if not np.all(np.abs(found) < 1 - EXACT) or np.ptp(found) <= EXACT:
        return None, None
    z = seed_interval(np.arctanh(found))
    return float(np.tanh(z.low or 0.0)), float(np.tanh(z.high or 0.0))
