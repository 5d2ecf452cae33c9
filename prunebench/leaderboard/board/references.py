"""What the pruners of a section are held against, under each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prunebench.leaderboard.board.accuracy_bar import find_bars, weigh_accuracy
from prunebench.leaderboard.board.grid import Point
from prunebench.leaderboard.board.rows import Row, find_role
from prunebench.record import Record

DRAWN = "random-cam"
"""An explanation method whose maps are drawn: they tell nothing of what a network looks at."""


@dataclass(frozen=True)
class References:
    """The controls of one section.

    Attributes:
        baseline: The baseline.
        control: ``none``: the same fine-tuning, without pruning.
        floor: Random weights in the same architecture.
        cams: Explanation methods that a score averages.
        bars: By seed the accuracy asked for: see ``accuracy_bar.py``.
        floors: By seed the mean Sp2PS of random weights.
    """

    baseline: Row | None
    control: Row | None
    floor: Row | None
    cams: tuple[str, ...]
    bars: Mapping[int, float]
    floors: Mapping[int, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The values that a score averages."""
        return tuple(f"sp2ps/{cam}" for cam in self.cams)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The references that there are."""
        return tuple(row for row in (self.baseline, self.control, self.floor) if row)

    def average(self, record: Record) -> float | None:
        """Return the mean Sp2PS of a network over the methods; None if one is missing."""
        values = [record.mean(name) for name in self.names]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(values) if values and len(known) == len(values) else None

    def locate(self, record: Record, pruned: float) -> Point | None:
        """Return what a network tells: no more than random weights where it could not be made.

        Neither does one tell more whose outputs have no accuracy, such as NaN.

        Args:
            record: The network.
            pruned: The fraction that it lost.

        Returns:
            None where the bar or the floor are not known.
        """
        floor, bar = self.floors.get(record.seed), self.bars.get(record.seed)
        if floor is None or bar is None:
            return None
        value, accuracy = self.average(record), record.mean("accuracy")
        if record.failure is not None:
            return Point(record.level or 0.0, floor, 0.0)
        if accuracy is None:
            return Point(pruned, floor, 0.0)
        return Point(pruned, floor if value is None else value, weigh_accuracy(accuracy, bar))


def find_references(rows: Sequence[Row], cams: Sequence[str] | None = None) -> References:
    """Find the references among the rows of one section.

    Args:
        rows: Rows of one section.
        cams: Explanation methods of its protocol; by default those of the control.
    """
    baseline, control, floor = (find_role(rows, role) for role in ("baseline", "control", "floor"))
    chosen = list_cams(control) if cams is None else tuple(cams)
    bars = find_bars(baseline, control)
    found = References(baseline, control, floor, chosen, bars, {})
    floors = {record.seed: found.average(record) for record in (floor.records if floor else ())}
    known = {seed: value for seed, value in floors.items() if value is not None}
    return References(baseline, control, floor, chosen, bars, known)


def list_cams(control: Row | None) -> tuple[str, ...]:
    """Return the explanation methods under which the control has an Sp2PS, but not random maps."""
    names = [] if control is None else list(control.estimates)
    cams = (name.partition("/")[2] for name in names if name.startswith("sp2ps/"))
    return tuple(cam for cam in cams if cam != DRAWN)
