"""Correlation of accuracy with what explanations tell, over levels of compression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from prunebench.leaderboard.rank import by_pruner
from prunebench.leaderboard.rows import Row, the
from prunebench.statistics import CONFIDENCE, LEAST_SEEDS, RESAMPLES

LEAST_POINTS = 3
LEAST_FOR_RANKS = 10
"""Points from which on Spearman's rho is near enough to t-distributed to have a p-value."""
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
        low: Lower bound of the 95% interval over seeds; None with fewer than three seeds.
        high: Upper bound.
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


def everything(rows: Sequence[Row], axis: str) -> list[Row]:
    """All compressed rows on an axis and the ``none`` control, each once."""
    control = the(rows, "control")
    levels = [row for _, levels in by_pruner(rows, axis) for row in levels]
    return ([control] if control else []) + levels


def correlate(rows: Sequence[Row], names: Sequence[str]) -> list[Correlation]:
    """Correlates accuracy with values over rows: Pearson's r and Spearman's rho.

    Coefficients are of the means over seeds. Where all rows have the same three seeds or more,
    the interval is the middle 95% of 1000 resamples of the seeds: what other seeds would give,
    not what other levels would.

    Args:
        rows: Levels of one pruner, or all rows of a protocol.
        names: The values.

    Returns:
        One correlation for each name, in their order.
    """
    found: dict[str, Correlation] = {}
    by_rows: dict[tuple[int, ...], list[str]] = {}
    having = [index for index, row in enumerate(rows) if _whole(row, "accuracy")]
    for name in names:
        present = tuple(index for index in having if _whole(rows[index], name))
        if len(present) < LEAST_POINTS:
            reason = f"{len(present)} of the {LEAST_POINTS} points that are needed"
            found[name] = Correlation(name, len(present), reason=reason)
        else:
            by_rows.setdefault(present, []).append(name)
    for present, alike in by_rows.items():
        for each in _over([rows[index] for index in present], alike):
            found[each.name] = each
    return [found[name] for name in names]


def _whole(row: Row, name: str) -> bool:
    return not row.missing and row.get(name).mean is not None


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
    weights, times = _resamples(count)
    accuracy = weights @ _by_seed(rows, "accuracy")
    values = np.stack([weights @ _by_seed(rows, name) for name in names])
    pearson = _pearson(accuracy, values)
    spearman = _pearson(_ranks(accuracy), _ranks(values))
    return _middle(pearson, times), _middle(spearman, times)


def _by_seed(rows: Sequence[Row], name: str) -> Floats:
    """One line a seed, one column a row."""
    columns = [[record.mean(name) for record in row.records] for row in rows]
    return np.array(columns, dtype=np.float64).T


@lru_cache(maxsize=8)
def _resamples(count: int) -> tuple[Floats, NDArray[np.int64]]:
    """Distinct resamples of some seeds as weights, and how often each is drawn: few seeds, few."""
    generator = np.random.default_rng(count)
    drawn = generator.multinomial(count, [1 / count] * count, size=RESAMPLES)
    distinct, times = np.unique(drawn, axis=0, return_counts=True)
    return distinct / count, times


def _middle(found: Floats, times: NDArray[np.int64]) -> Spread:
    """The middle 95% of each line's coefficients, each as often as it was drawn.

    Resamples in which a value is constant have no coefficient and are left out.
    """
    tail = (1 - CONFIDENCE) / 2
    ends: Spread = []
    for line in found:
        order = np.argsort(line)[: int(np.isfinite(line).sum())]
        if len(order) == 0:
            ends.append((None, None))
            continue
        share = np.cumsum(times[order]) / times[order].sum()
        low, high = (line[order[np.searchsorted(share, at)]] for at in (tail, 1 - tail))
        ends.append((float(low), float(high)))
    return ends
