"""Rule 11: networks without levels, beside what pruners keep at the same compression."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.leaderboard.board.grid import GRID, NEAR, Axis
from prunebench.leaderboard.board.references import References
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.score import (
    Score,
    group_by_pruner,
    has_failed,
    judge_worth,
    locate_points,
    read_cell,
    score_pruner,
)


@dataclass(frozen=True)
class PeerDifference:
    """What a network without levels is held against.

    Attributes:
        versus: In words; None where there is no counterpart.
        difference: Mean over seeds of what it keeps more than that, in Sp2PS over the methods,
            counted as far as both are accurate; None where there is none.
        low: Lower bound of the 95% t-interval over seeds; None with fewer than three.
        high: Upper bound.
        seeds: Seeds behind it.
        reason: Why there is no difference.
    """

    versus: str | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    reason: str | None = None


def find_counterpart(
    row: Row, rows: Sequence[Row], references: References, listed: Collection[str]
) -> PeerDifference | None:
    """Compare a network that no level was asked of with what its section has at the same place.

    8-bit networks are held against ``none``; others against the mean of the pruners that have a
    score, at the MACs (or weights, where they are masked) that it lost.

    Args:
        row: A row of the section.
        rows: All rows of the section.
        references: Its controls.
        listed: The protocol's pruners: entries from elsewhere move nobody's difference.

    Returns:
        None for rows that have levels, or are controls.
    """
    record = row.first
    if record.role != "compressed" or record.level is not None or record.round is not None:
        return None
    if record.axis == "quantised":
        return _compare(
            row, "`none`", {s: _keep_of_none(references, s) for s in _seeds(row)}, references
        )
    axis: Axis = "masked" if record.axis == "masked" else "dense"
    what = "weights" if axis == "masked" else "MACs"
    place = row.pruned
    if not GRID[axis][0] - NEAR <= place <= GRID[axis][-1] + NEAR:
        return PeerDifference(None, reason=f"no counterpart: it lost {place:.0%} of {what}")
    lines = [line for line in group_by_pruner(rows, axis) if line[0] in listed]
    scored = [score_pruner(pruner, levels, references, axis) for pruner, levels in lines]
    scored = [score for score in scored if set(_seeds(row)) <= score.by_seed.keys()]
    if not scored:
        return PeerDifference(None, reason="no counterpart: no pruner has a score")
    keeps = {seed: _keep_of_pruners(scored, references, seed, place) for seed in _seeds(row)}
    return _compare(row, f"{len(scored)} pruners at {place:.0%} of {what}", keeps, references)


def _seeds(row: Row) -> list[int]:
    return [record.seed for record in row.records]


def _keep_of_none(references: References, seed: int) -> float | None:
    points = list(locate_points((), references, seed))
    floor = references.floors.get(seed)
    return judge_worth(points[0], floor) if points and floor is not None else None


def _keep_of_pruners(
    scored: Sequence[Score], references: References, seed: int, place: float
) -> float | None:
    floor = references.floors.get(seed)
    if floor is None:
        return None
    found = []
    for score in scored:
        points = list(locate_points(score.rows, references, seed))
        point = read_cell(points, place, floor if has_failed(score.rows, seed) else None)
        if point is None:
            return None
        found.append(judge_worth(point, floor))
    return math.fsum(found) / len(found)


def _compare(
    row: Row, versus: str, keeps: dict[int, float | None], references: References
) -> PeerDifference:
    differences = []
    for record in row.records:
        point = references.locate(record, row.pruned_of(record))
        floor, kept = references.floors.get(record.seed), keeps[record.seed]
        if point is None or floor is None or kept is None:
            return PeerDifference(versus, reason=f"seed {record.seed} has no such pair")
        differences.append(judge_worth(point, floor) - kept)
    mean = math.fsum(differences) / len(differences)
    if len(differences) < LEAST_SEEDS:
        return PeerDifference(versus, mean, seeds=len(differences))
    interval = seed_interval(differences)
    return PeerDifference(versus, mean, interval.low, interval.high, len(differences))
