"""The board: records brought into sections of comparable rows, ranked, with trust horizons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from prunebench.leaderboard.board.editions import separate_editions
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.horizon import Horizon, find_horizons
from prunebench.leaderboard.board.protocol import Headline, Protocol, load_protocol
from prunebench.leaderboard.board.rank import AxisRanking, PrunerRank, rank
from prunebench.leaderboard.board.references import References, find_references
from prunebench.leaderboard.board.rescaling import Rescaled, list_preservation_values, rescale_row
from prunebench.leaderboard.board.roles import FURTHER
from prunebench.leaderboard.board.rows import Row, find_role, group_records
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.leaderboard.board.standing import (
    KINDS,
    UNKNOWN,
    Standing,
    find_standing,
    find_trained,
)
from prunebench.record import Record

AXES: tuple[Axis, ...] = ("dense", "masked")
"""Axes on which pruners are ranked and have trust horizons."""
UNRANKED = ("quantised", "none")
"""What networks that are compressed otherwise, or not at all, have in place of an axis."""


@dataclass(frozen=True)
class Section:
    """All rows under the same conditions, which alone are comparable.

    Attributes:
        rows: Baseline, controls and compressed rows.
        standing: What it may claim.
        headline: The protocol's suite that it is of; None for others.
    """

    rows: tuple[Row, ...]
    standing: Standing = UNKNOWN
    headline: Headline | None = None

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
    def references(self) -> References:
        """Controls that the pruners are held against."""
        return find_references(self.rows, self.headline.cams if self.headline else None)

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
        listed = self.headline.pruners if self.headline else None
        return {
            axis: rank(self.rows, axis, self.references, listed=listed, closed=self.standing.closed)
            for axis in AXES
            if group_by_pruner(self.rows, axis)
        }

    @cached_property
    def listed(self) -> frozenset[str]:
        """The pruners that are tested against each other."""
        every = (place for ranking in self.rankings.values() for place in ranking.places)
        return frozenset(place.pruner for place in every if place.listed)

    @property
    def absent(self) -> tuple[str, ...]:
        """The protocol's pruners that nobody has run here."""
        wanted = self.headline.pruners if self.headline else ()
        return tuple(pruner for pruner in wanted if pruner not in self.listed)

    @cached_property
    def horizons(self) -> tuple[Horizon, ...]:
        """Trust horizons, by axis, pruner, method and threshold."""
        return tuple(
            found for axis in AXES for found in find_horizons(self.rows, axis, self.references)
        )

    def table(self, axis: str) -> list[tuple[Row, PrunerRank | None]]:
        """Return the rows of an axis in a table's order, each with its pruner's rank.

        The baseline and the controls come first, without a place; then pruners as ranked,
        each by rising compression. Rows of an axis in ``UNRANKED`` have no place.
        """
        shown: list[tuple[Row, PrunerRank | None]] = []
        shown += [(row, None) for row in (self.baseline, self.control, self.floor) if row]
        shown += [(row, None) for row in self.rows if row.first.role in FURTHER]
        levels = dict(group_by_pruner(self.rows, axis))
        ranking = next((found for name, found in self.rankings.items() if name == axis), None)
        if ranking is None:
            return shown + [(row, None) for rows in levels.values() for row in rows]
        for place in ranking.places:
            shown += [(row, place) for row in levels[place.pruner]]
        return shown


def board(records: Iterable[Record], protocol: Protocol | None = None) -> tuple[Section, ...]:
    """Bring records into sections: headlines, then studies, then demonstrations.

    Records that newer versions of their plugins have outdated are marked, and never share a
    section or a row with the newer ones.

    The result does not depend on the records' order.

    Args:
        records: Any records.
        protocol: Which suites are headlines; by default the present protocol.
    """
    protocol = protocol or load_protocol()
    records = list(records)
    trained = find_trained(records)
    sections = []
    for rows in group_records(separate_editions(records)):
        headline = protocol.find_headline(rows)
        standing = find_standing(rows, trained, headline=headline is not None)
        sections.append(Section(tuple(rows), standing, headline))
    return tuple(sorted(sections, key=lambda section: _order(section, protocol)))


def _order(section: Section, protocol: Protocol) -> tuple[int, int]:
    place = protocol.headlines.index(section.headline) if section.headline else 0
    return KINDS.index(section.standing.kind), place
