"""The board: records brought into sections of comparable rows, ranked, with trust horizons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from prunebench.leaderboard.board.editions import separate_editions
from prunebench.leaderboard.board.horizon import Horizon, find_horizons
from prunebench.leaderboard.board.rank import Axis, AxisRanking, PrunerRank, group_by_pruner, rank
from prunebench.leaderboard.board.rescaling import Rescaled, list_preservation_values, rescale_row
from prunebench.leaderboard.board.rows import Row, find_role, group_records
from prunebench.record import Record

AXES: tuple[Axis, ...] = ("dense", "masked")
"""Axes on which pruners are ranked and have trust horizons."""
UNRANKED = ("quantised", "none")
"""What networks that are compressed otherwise, or not at all, have in place of an axis."""


@dataclass(frozen=True)
class Section:
    """All rows of one protocol, which alone are comparable.

    Attributes:
        rows: Baseline, control, floor and compressed rows.
    """

    rows: tuple[Row, ...]

    @property
    def first(self) -> Record:
        """Any record: what belongs to the protocol is read here."""
        return self.rows[0].first

    @cached_property
    def baseline(self) -> Row | None:
        """The baseline."""
        return find_role(self.rows, "baseline")

    @cached_property
    def control(self) -> Row | None:
        """The ``none`` control: the same fine-tuning, without pruning."""
        return find_role(self.rows, "control")

    @cached_property
    def floor(self) -> Row | None:
        """The same architecture with random weights."""
        return find_role(self.rows, "floor")

    @cached_property
    def cams(self) -> tuple[str, ...]:
        """Explanation methods under which any row has an Sp2PS, by name."""
        names = {name for row in self.rows for name in row.estimates if name.startswith("sp2ps/")}
        return tuple(sorted(name.partition("/")[2] for name in names))

    @cached_property
    def rescalable(self) -> tuple[str, ...]:
        """Values to show rescaled: Sp2PS, and the preservation that both controls have, by name."""
        both = list_preservation_values(self.control) & list_preservation_values(self.floor)
        return tuple(sorted(both | {f"sp2ps/{cam}" for cam in self.cams}))

    def rescaled(self, row: Row, name: str) -> Rescaled:
        """Return a row's value on the scale from random weights (0) to ``none`` (1)."""
        return rescale_row(row, name, self.control, self.floor)

    @cached_property
    def rankings(self) -> dict[Axis, AxisRanking]:
        """The ranking on each axis that has rows."""
        return {axis: rank(self.rows, axis) for axis in AXES if group_by_pruner(self.rows, axis)}

    @cached_property
    def horizons(self) -> tuple[Horizon, ...]:
        """Trust horizons, by axis, pruner, method and threshold."""
        return tuple(found for axis in AXES for found in find_horizons(self.rows, axis))

    def table(self, axis: str) -> list[tuple[Row, PrunerRank | None]]:
        """Return the rows of an axis in a table's order, each with its pruner's rank.

        The baseline, the control and the floor come first, without a place; then pruners as ranked,
        each by rising compression. Rows of an axis in ``UNRANKED`` have no place.
        """
        shown: list[tuple[Row, PrunerRank | None]] = []
        shown += [(row, None) for row in (self.baseline, self.control, self.floor) if row]
        levels = dict(group_by_pruner(self.rows, axis))
        ranking = next((found for name, found in self.rankings.items() if name == axis), None)
        if ranking is None:
            return shown + [(row, None) for rows in levels.values() for row in rows]
        for place in ranking.places:
            shown += [(row, place) for row in levels[place.pruner]]
        return shown


def board(records: Iterable[Record]) -> tuple[Section, ...]:
    """Bring records into sections, sorted by data set, model and protocol.

    Records that newer versions of their plugins have outdated are marked, and never share a
    section or a row with the newer ones.

    The result does not depend on the records' order.
    """
    return tuple(Section(tuple(rows)) for rows in group_records(separate_editions(records)))
