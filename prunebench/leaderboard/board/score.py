"""Rule 5: a pruner's score, from its own rows and the controls alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from prunebench.leaderboard.board.grid import (
    GRID,
    Axis,
    Point,
    find_measured,
    is_of_protocol,
    read_point,
)
from prunebench.leaderboard.board.references import References
from prunebench.leaderboard.board.rows import Row, describe_row


@dataclass(frozen=True)
class Score:
    """What a pruner keeps at the compressions of the grid.

    Attributes:
        pruner: Its label.
        by_seed: The score under each seed; empty where there is none.
        missing: Points of the grid that its levels do not cover.
        reason: Why there is no score.
        rows: The rows that it rests on.
    """

    pruner: str
    by_seed: Mapping[int, float]
    missing: tuple[float, ...] = ()
    reason: str | None = None
    rows: tuple[Row, ...] = ()


def score_pruner(pruner: str, levels: Sequence[Row], references: References, axis: Axis) -> Score:
    """Score a pruner under each of its seeds.

    The mean over the grid of ``w·max(value, floor) + (1 - w)·floor``: value is the Sp2PS over the
    explanation methods, w how far the network counts as accurate, floor what random weights keep.
    A network that is not accurate, or could not be made, counts as random weights do, and none
    counts for less: so nobody gains by a network that is missing. No other pruner enters.

    Args:
        pruner: Its label.
        levels: Its rows on the axis.
        references: The controls.
        axis: Dense or masked.
    """
    counted = [row for row in levels if is_of_protocol(row.first.level, row.first.round, axis)]
    if reason := _find_objection(counted, references):
        return Score(pruner, {}, reason=reason, rows=tuple(counted))
    seeds = sorted({record.seed for row in counted for record in row.records})
    by_seed: dict[int, float] = {}
    missing: set[float] = set()
    for seed in seeds:
        points = list(locate_points(counted, references, seed))
        floor = references.floors[seed] if has_failed(counted, seed) else None
        cells = {at: read_cell(points, at, floor) for at in GRID[axis]}
        missing |= {at for at, point in cells.items() if point is None}
        known = [point for point in cells.values() if point is not None]
        by_seed[seed] = score_cells(known, references.floors[seed])
    if missing:
        gone = tuple(sorted(missing))
        told = ", ".join(f"{100 * at:g}%" for at in gone)
        return Score(pruner, {}, gone, f"its levels do not cover {told}", tuple(counted))
    return Score(pruner, by_seed, rows=tuple(counted))


def read_cell(points: Sequence[Point], at: float, failed: float | None = None) -> Point | None:
    """Read one place of the grid.

    Args:
        points: Of one pruner under one seed.
        at: The place.
        failed: Where a network of this seed could not be made, the floor: nobody knows where it
            would have stood, so that nothing is interpolated.
    """
    found = read_point(points, at)
    if found is None or failed is None or find_measured(points, at):
        return found
    return Point(at, failed, 0.0)


def has_failed(levels: Iterable[Row], seed: int) -> bool:
    """Return whether any network of a seed could not be made."""
    return any(record.seed == seed for row in levels for record in row.failures)


def judge_worth(point: Point, floor: float) -> float:
    """Return what one network counts for: its value as far as it is accurate, else the floor."""
    return floor + point.weight * max(point.value - floor, 0.0)


def score_cells(cells: Sequence[Point], floor: float) -> float:
    """Average the cells of a grid; see ``score_pruner``.

    Example:
        >>> score_cells([Point(0.1, 0.9, 1.0), Point(0.2, 0.8, 0.5)], floor=0.2)
        0.7
    """
    worth = [judge_worth(cell, floor) for cell in cells]
    return round(math.fsum(worth) / len(worth), 12) if worth else floor


def locate_points(levels: Iterable[Row], references: References, seed: int) -> Iterator[Point]:
    """Yield what each network of a seed tells, ``none`` at 0 first.

    Args:
        levels: Rows of one pruner.
        references: The section's controls.
        seed: The seed.
    """
    if references.control is not None:
        for record in references.control.records:
            if record.seed == seed and (point := references.locate(record, 0.0)):
                yield point
    for row in levels:
        for record in row.records:
            if record.seed == seed and (point := references.locate(record, row.pruned_of(record))):
                yield point


def _find_objection(levels: Sequence[Row], references: References) -> str | None:
    """Say what is missing for a score, however many seeds there are."""
    if references.control is None:
        return "no `none` control to start from"
    if not references.cams:
        return "no Sp2PS under an explanation method was measured"
    if references.floor is None:
        return "no maps under random weights were measured"
    if not levels:
        return "none of its levels is one of the protocol's"
    seeds = {record.seed for row in levels for record in row.records}
    for row in references.rows:
        if lacking := seeds - {record.seed for record in row.records}:
            return f"{describe_row(row)} has no seed {min(lacking)}"
    if lacking := seeds - references.bars.keys():
        return f"the accuracy of seed {min(lacking)}'s baseline is not known"
    if lacking := seeds - references.floors.keys():
        return f"random weights of seed {min(lacking)} lack an Sp2PS"
    for row in (references.control, *levels):
        for record in row.records:
            if record.failure is None:
                for name in ("accuracy", *references.names):
                    if name not in record.values:
                        return f"{describe_row(row)} has no {name}"
    return None


def group_by_pruner(rows: Iterable[Row], axis: str) -> list[tuple[str, list[Row]]]:
    """Return the compressed rows on an axis by pruner, each by rising compression."""
    there = [row for row in rows if row.first.role == "compressed" and row.first.axis == axis]
    there.sort(key=lambda row: (row.first.pruner, row.pruned, row.first.round or 0))
    return [(name, list(same)) for name, same in groupby(there, key=lambda row: row.first.pruner)]
