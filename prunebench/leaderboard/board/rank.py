"""Rank: pruners by how well they preserve heatmaps at equal compression."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np

from prunebench.intervals import seed_interval
from prunebench.leaderboard.board.rows import Estimate, Row, find_role, format_level

MOST_ACCURACY_LOST = 0.02  # of the baseline: 2 points
CLOSE = 1e-9  # reached compressions nearer than this are one
DRAWN = "random-cam"
"""An explanation method whose maps are drawn: they tell nothing of what a network looks at."""

Axis = Literal["dense", "masked"]


@dataclass(frozen=True)
class PrunerRank:
    """One pruner's place.

    Attributes:
        pruner: Its label.
        rank: From 1; None where it is not ranked.
        score: Mean Sp2PS over methods and common compressions.
        low: Lower bound of the score's 95% interval.
        high: Upper bound.
        upto: The largest compression reached within 2 points of accuracy.
        reason: Why it is not ranked.
    """

    pruner: str
    rank: int | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    upto: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class AxisRanking:
    """The places of all pruners of one protocol on one axis.

    Attributes:
        axis: dense (MACs removed) or masked (weights removed).
        cams: Explanation methods that the score averages.
        at: Compressions at which all ranked pruners are compared.
        places: Ranked pruners by rank and score, then the others by name.
    """

    axis: Axis
    cams: tuple[str, ...]
    at: tuple[float, ...]
    places: tuple[PrunerRank, ...]


def rank(rows: Sequence[Row], axis: Axis) -> AxisRanking:
    """Rank the pruners of one protocol on one axis.

    Each pruner's Sp2PS is a line over the compression that it really reached, from the ``none``
    control at 0 through its levels within 2 points of accuracy. All lines are read at the same
    places: every compression that any ranked pruner reached, as far as all of them go. The score
    is the mean over these places and over the explanation methods of the control. Pruners whose
    intervals overlap, directly or through others between them, share a rank; the next rank counts
    all that are above it.

    Args:
        rows: Rows of one protocol, baseline and control among them.
        axis: Which axis; rows on the other are ignored.
    """
    baseline = find_role(rows, "baseline")
    control = find_role(rows, "control")
    cams = list_cams(control)
    names = [f"sp2ps/{cam}" for cam in cams]
    unranked: list[PrunerRank] = []
    lines: dict[str, list[Row]] = {}
    for pruner, levels in group_by_pruner(rows, axis):
        eligible = [row for row in levels if is_eligible(row, baseline)]
        reason = _find_objection(levels, eligible, baseline, control, names)
        if reason:
            unranked.append(PrunerRank(pruner, reason=reason))
        else:
            lines[pruner] = eligible
    at = _find_common_compressions(lines.values())
    places = [
        _score_pruner(pruner, control, line, at, names) for pruner, line in lines.items() if control
    ]
    ranked = _share_ranks(places)
    return AxisRanking(axis, cams, at, (*ranked, *sorted(unranked, key=lambda place: place.pruner)))


def group_by_pruner(rows: Iterable[Row], axis: str) -> list[tuple[str, list[Row]]]:
    """Return the compressed rows on an axis by pruner, each by rising compression."""
    there = [row for row in rows if row.first.role == "compressed" and row.first.axis == axis]
    there.sort(key=lambda row: (row.first.pruner, row.pruned, row.first.round or 0))
    return [(name, list(same)) for name, same in groupby(there, key=lambda row: row.first.pruner)]


def list_cams(control: Row | None) -> tuple[str, ...]:
    """Return the explanation methods under which the control has an Sp2PS, but not random maps."""
    names = [] if control is None else list(control.estimates)
    cams = (name.partition("/")[2] for name in names if name.startswith("sp2ps/"))
    return tuple(cam for cam in cams if cam != DRAWN)


def is_eligible(row: Row, baseline: Row | None) -> bool:
    """Return whether a level's accuracy is within 2 points of the baseline's."""
    drop = row.drop(baseline)
    return drop is not None and drop <= MOST_ACCURACY_LOST + CLOSE


def _find_objection(
    levels: Sequence[Row],
    eligible: Sequence[Row],
    baseline: Row | None,
    control: Row | None,
    names: Sequence[str],
) -> str | None:
    """Say why a pruner cannot be ranked; None if it can."""
    if control is None:
        return "no `none` control to start from"
    if not names:
        return "no Sp2PS under an explanation method was measured"
    if control.missing:
        return f"the `none` control has {control.seeds} seeds"
    for row in levels:
        if row.missing:
            return f"{format_level(row)} has {row.seeds} seeds"
    if any(row.drop(baseline) is None for row in levels):
        return "the accuracy lost is not known"
    if not eligible:
        return "no level within 2 points of accuracy"
    for row in (control, *eligible):
        for name in names:
            if row.get(name).mean is None:
                return f"{format_level(row)} has no {name}: {row.get(name).reason}"
    if max(row.pruned for row in eligible) <= CLOSE:
        return "nothing is removed on this axis"
    return None


def _find_common_compressions(lines: Iterable[Sequence[Row]]) -> tuple[float, ...]:
    """Return the compressions that some pruner reached and that all others cover."""
    reached = [[row.pruned for row in line] for line in lines]
    if not reached:
        return ()
    end = min(max(line) for line in reached)
    inside = sorted(x for line in reached for x in line if CLOSE < x <= end)
    at: list[float] = []
    for x in inside:
        if not at or x - at[-1] > CLOSE:
            at.append(x)
    return tuple(at)


def _score_pruner(
    pruner: str, control: Row, line: Sequence[Row], at: Sequence[float], names: Sequence[str]
) -> PrunerRank:
    """Average a pruner's Sp2PS over compressions and methods, with its interval.

    The mean is linear in the values, so seeds and bounds pass through it as the mean does: with
    three seeds or more that all rows share, it is taken for each seed and the interval is a
    t-interval of these; otherwise its bounds are the means of the rows' bounds.
    """
    removed = [0.0, *(row.pruned for row in line)]

    def mean_of(value: Callable[[Row, str], float]) -> float:
        heights = [
            height
            for name in names
            for height in interpolate(removed, [value(row, name) for row in (control, *line)], at)
        ]
        return math.fsum(heights) / len(heights)

    score = mean_of(lambda row, name: row.get(name).mean or 0.0)
    rows = (control, *line)
    per_seed = []
    if len(control.records) >= 3 and len({_seeds(row) for row in rows}) == 1:
        per_seed = [mean_of(_read_at_seed(index)) for index in range(len(control.records))]
    if per_seed and max(per_seed) > min(per_seed):
        interval = seed_interval(per_seed)
        low, high = interval.low, interval.high
    else:
        low = mean_of(lambda row, name: _bound(row.get(name), "low"))
        high = mean_of(lambda row, name: _bound(row.get(name), "high"))
    return PrunerRank(pruner, score=score, low=low, high=high, upto=max(row.pruned for row in line))


def _read_at_seed(index: int) -> Callable[[Row, str], float]:
    return lambda row, name: row.records[index].mean(name) or 0.0


def _seeds(row: Row) -> tuple[int, ...]:
    return tuple(record.seed for record in row.records)


def _bound(value: Estimate, side: Literal["low", "high"]) -> float:
    bound = value.low if side == "low" else value.high
    return bound if bound is not None else value.mean or 0.0


def interpolate(xs: Sequence[float], ys: Sequence[float], at: Sequence[float]) -> list[float]:
    """Return the heights at some places of the line through points; equal x are averaged.

    Before the first point and after the last the line is level.
    """
    points: list[tuple[float, float]] = []
    order = sorted(zip(xs, ys, strict=True))
    start = 0
    while start < len(order):
        same = [order[start]]
        while start + len(same) < len(order) and order[start + len(same)][0] - same[0][0] <= CLOSE:
            same.append(order[start + len(same)])
        points.append((same[0][0], math.fsum(y for _, y in same) / len(same)))
        start += len(same)
    there, heights = [x for x, _ in points], [y for _, y in points]
    return [float(height) for height in np.interp(at, there, heights)]


def _share_ranks(places: Iterable[PrunerRank]) -> list[PrunerRank]:
    """Give ranks from the top; a gap between intervals starts the next one."""
    order = sorted(places, key=lambda place: (-_number(place.high), place.pruner))
    ranked: list[PrunerRank] = []
    current, floor = 1, math.inf
    for position, place in enumerate(order, start=1):
        if _number(place.high) < floor and ranked:
            current = position
        floor = min(floor, _number(place.low))
        ranked.append(replace(place, rank=current))
    return sorted(ranked, key=lambda p: (p.rank or 0, -_number(p.score), p.pruner))


def _number(value: float | None) -> float:
    return 0.0 if value is None else value
