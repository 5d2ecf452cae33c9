"""The pruners of a board: where each was measured, and its card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from prunebench.errors import RequestError
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.site.links import link_pruner
from prunebench.leaderboard.writers.cells import plain
from prunebench.plugins import find
from prunebench.plugins.cards import Card, read_card

NO_CARD = "Not installed where this page was made"
UNTOLD = "without a card"


@dataclass
class MeasuredPruner:
    """Where a pruner was measured: one section, one axis.

    Attributes:
        section: The section.
        axis: dense, masked, quantised or none.
        levels: The pruner's rows by label.
    """

    section: Section
    axis: str
    levels: dict[str, list[Row]] = field(default_factory=dict)


@dataclass
class BoardPruner:
    """A plugin that records name.

    Attributes:
        name: Of the plugin, as records have it.
        measured: Where it was measured.
        card: Its card, where it is installed and has one.
        missing: Why there is no card.
    """

    name: str
    measured: list[MeasuredPruner] = field(default_factory=list)
    card: Card | None = None
    missing: str = ""

    @property
    def family(self) -> str:
        """The card's family."""
        return plain(self.card.family) if self.card else UNTOLD

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(len(rows) for each in self.measured for rows in each.levels.values())


def collect_pruners(sections: Iterable[Section]) -> dict[str, BoardPruner]:
    """Return the pruners of a board by the address of their page, with all their rows."""
    found: dict[str, BoardPruner] = {}
    for section in sections:
        here: dict[tuple[str, str], MeasuredPruner] = {}
        for row in section.rows:
            record = row.first
            if record.role not in ("compressed", "control"):
                continue
            name = record.pruner_name
            link = link_pruner(name)
            pruner = found.setdefault(link, BoardPruner(name))
            place = here.get((link, record.axis))
            if place is None:
                place = here[link, record.axis] = MeasuredPruner(section, record.axis)
                pruner.measured.append(place)
            place.levels.setdefault(record.pruner, []).append(row)
    for pruner in found.values():
        pruner.card, pruner.missing = _read_card(pruner.name)
        for place in pruner.measured:
            for rows in place.levels.values():
                rows.sort(key=lambda row: (row.pruned, row.first.round or 0))
    return found


def _read_card(name: str) -> tuple[Card | None, str]:
    try:
        entry = find("pruners", name)
    except RequestError as error:
        return None, f"{NO_CARD}: {plain(error.message)}"
    try:
        return read_card(entry), f"Its package, {entry.package}, ships no card."
    except RequestError as error:
        return None, plain(str(error))
