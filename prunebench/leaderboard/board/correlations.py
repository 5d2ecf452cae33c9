"""Correlation of accuracy with what explanations tell, over levels of compression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.leaderboard.board.rows import Row, find_role
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.record.scales import ZERO_MAPS

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
        zero_maps: Share of zero maps, the largest of any of these rows; None where one does not
            tell it.
    """

    name: str
    points: int
    pearson: Coefficient | None = None
    spearman: Coefficient | None = None
    reason: str | None = None
    zero_maps: float | None = None


def list_explanation_values(rows: Iterable[Row]) -> tuple[str, ...]:
    """Return the names of the maps' values that any row has, such as ``sp2ps/grad-cam``."""
    names = {name for row in rows for name in row.estimates if "/" in name}
    return tuple(sorted(names))


def list_pruner_lines(rows: Sequence[Row], axis: str) -> list[tuple[str, list[Row]]]:
    """Return each pruner's levels on an axis, with the ``none`` control at 0 before them."""
    control = find_role(rows, "control")
    start = [control] if control else []
    return [(pruner, start + levels) for pruner, levels in group_by_pruner(rows, axis)]


def list_networks(rows: Sequence[Row], axis: str) -> list[Row]:
    """Return all compressed rows on an axis and the ``none`` control, each once."""
    control = find_role(rows, "control")
    levels = [row for _, levels in group_by_pruner(rows, axis) for row in levels]
    return ([control] if control else []) + levels


def correlate(rows: Sequence[Row], names: Sequence[str]) -> list[Correlation]:
    """Correlate accuracy with values over rows: Pearson's r and Spearman's rho.

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
    zeros: dict[str, float | None] = {}
    by_rows: dict[tuple[int, ...], list[str]] = {}
    having = [
        index
        for index, row in enumerate(rows)
        if not row.missing and row.get("accuracy").mean is not None
    ]
    for name in names:
        present = tuple(index for index in having if rows[index].get(name).mean is not None)
        zeros[name] = find_zero_maps([rows[index] for index in present], name)
        if len(present) < LEAST_POINTS:
            reason = f"{len(present)} of the {LEAST_POINTS} points that are needed"
            found[name] = Correlation(name, len(present), reason=reason)
        else:
            by_rows.setdefault(present, []).append(name)
    for present, alike in by_rows.items():
        for each in _correlate_rows([rows[index] for index in present], alike):
            found[each.name] = each
    return [replace(found[name], zero_maps=zeros[name]) for name in names]


def find_zero_maps(rows: Iterable[Row], name: str) -> float | None:
    """Return the largest share of zero maps of any row, by a value's explanation method.

    Args:
        rows: The rows.
        name: The value, such as ``sp2ps/grad-cam``.

    Returns:
        A fraction, mean over seeds; None where a row does not tell it, or there is none.
    """
    shares = [row.get(f"{ZERO_MAPS}/{name.partition('/')[2]}").mean for row in rows]
    known = [share for share in shares if share is not None]
    return max(known) if known and len(known) == len(shares) else None


def _correlate_rows(rows: Sequence[Row], names: Sequence[str]) -> list[Correlation]:
    """Correlate accuracy with all values at once; every row has each of them."""
    accuracy = _means(rows, ["accuracy"])[0]
    values = _means(rows, names)
    n = len(rows)
    if _is_constant(accuracy):
        return [Correlation(name, n, reason="accuracy is the same at all points") for name in names]
    changing = [index for index in range(len(names)) if not _is_constant(values[index])]
    found = {
        name: Correlation(name, n, reason="the value is the same at all points") for name in names
    }
    if changing:
        chosen = [names[index] for index in changing]
        pearson = _coefficients(accuracy, values[changing])
        spearman = _coefficients(_ranks(accuracy), _ranks(values[changing]))
        spreads = _find_intervals(rows, chosen)
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


def _is_constant(values: Floats) -> bool:
    return bool(np.ptp(values) <= 1e-12)


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), dtype=np.float64)


def _coefficients(accuracy: Floats, values: Floats) -> list[tuple[float, float]]:
    """Return each value's Pearson's r with accuracy, and its p-value by Student's t."""
    from scipy.special import stdtr

    found = _pearson(np.broadcast_to(accuracy, values.shape), values)
    freedom = len(accuracy) - 2
    with np.errstate(divide="ignore"):
        t = np.abs(found) * np.sqrt(freedom / (1 - found**2))
    return [(float(r), float(p)) for r, p in zip(found, 2 * stdtr(freedom, -t), strict=True)]


def _pearson(first: Floats, second: Floats) -> Floats:
    """Return Pearson's r along the last axis; NaN where one of the two is constant."""
    first = first - first.mean(axis=-1, keepdims=True)
    second = second - second.mean(axis=-1, keepdims=True)
    size = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    found = (first * second).sum(axis=-1) / np.where(size > 1e-12, size, np.nan)
    return np.asarray(np.clip(found, -1, 1))


Spread = list[tuple[float | None, float | None]]


def _find_intervals(rows: Sequence[Row], names: Sequence[str]) -> tuple[Spread, Spread]:
    """Return each name's 95% intervals over seeds of Pearson's r and of Spearman's rho."""
    seeds = {tuple(record.seed for record in row.records) for row in rows}
    count = len(rows[0].records)
    if len(seeds) != 1 or count < LEAST_SEEDS:
        nothing: Spread = [(None, None)] * len(names)
        return nothing, nothing
    accuracy = _collect_by_seed(rows, "accuracy")
    values = np.stack([_collect_by_seed(rows, name) for name in names])
    pearson = _pearson(accuracy, values)
    spearman = _pearson(_ranks(accuracy), _ranks(values))
    return [_find_interval(each) for each in pearson], [_find_interval(each) for each in spearman]


def _collect_by_seed(rows: Sequence[Row], name: str) -> Floats:
    """Return a value as a matrix, one line a seed, one column a row."""
    columns = [[record.mean(name) for record in row.records] for row in rows]
    return np.array(columns, dtype=np.float64).T


def _find_interval(found: Floats) -> tuple[float | None, float | None]:
    """Return Student's t over the seeds' coefficients on Fisher's z, if it is defined."""
    if not np.all(np.abs(found) < 1 - EXACT) or np.ptp(found) <= EXACT:
        return None, None
    z = seed_interval(np.arctanh(found))
    return float(np.tanh(z.low or 0.0)), float(np.tanh(z.high or 0.0))
