"""The rows of the board as data for its page: by column, compact, in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES, UNRANKED
from prunebench.leaderboard.board.mark import mark_row
from prunebench.leaderboard.board.rank import PrunerRank
from prunebench.leaderboard.board.roles import REFERENCES, UNPRUNED, describe_reference
from prunebench.leaderboard.board.rows import Row, explain_undefined, format_level
from prunebench.leaderboard.board.seeds import is_preliminary
from prunebench.leaderboard.site.board.columns import VALUE
from prunebench.leaderboard.site.board.pareto import mark_pareto
from prunebench.leaderboard.site.links import name_row
from prunebench.leaderboard.writers.cells import format_place, plain
from prunebench.trust import THRESHOLDS

ROLES = ("compressed", *REFERENCES)


@dataclass(frozen=True)
class BoardEntry:
    """A row where it stands on the board."""

    row: Row
    place: PrunerRank | None
    section: Section
    group: int
    pareto: bool | str | None


def list_entries(sections: Sequence[Section]) -> Iterator[BoardEntry]:
    """Yield all rows in the board's order: controls, then each axis as ranked."""
    for group, section in enumerate(sections):
        marks = mark_pareto(section.rows, section.control)
        shown: set[int] = set()
        for axis in (*AXES, *UNRANKED):
            for row, place in section.table(axis):
                if id(row) not in shown:
                    shown.add(id(row))
                    yield BoardEntry(row, place, section, group, marks.get(row.first.id))


@dataclass
class Codes:
    """Texts by number, each kept once."""

    numbers: dict[str, int] = field(default_factory=dict)

    def __call__(self, text: str) -> int:
        """Return the number of a text."""
        return self.numbers.setdefault(text, len(self.numbers))

    @property
    def texts(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self.numbers)


class BoardPart:
    """Some rows, by column.

    A column is ``{"v": numbers, "l": lower bounds, "h": upper bounds, "n": {place: note}}``; where
    no row of the part has a number there is no column. Notes are numbers of texts.

    Args:
        start: Place of the first row on the board.
        size: How many rows there are.
        codes: Numbers of the labels of pruners, and of plugins.
        keys: Keys of the columns.
    """

    def __init__(self, start: int, size: int, codes: Mapping[str, Codes], keys: set[str]) -> None:
        self.start, self.size, self.codes, self.keys = start, size, codes, keys
        self.of_values = {key.removeprefix(VALUE): key for key in keys if key.startswith(VALUE)}
        self.names: list[str] = []
        self.columns: dict[str, dict[str, Any]] = {}
        self.notes = Codes()

    def add(self, entry: BoardEntry) -> None:
        """Add the next row."""
        row, record, at = entry.row, entry.row.first, len(self.names)
        self.names.append(name_row(row))
        role = record.role
        self._set("role", at, ROLES.index(role))
        label = plain(describe_reference(record) or record.pruner)
        self._set("pruner", at, self.codes["label"](label))
        self._set("plugin", at, self.codes["plugin"](plain(record.pruner_name)))
        self._set("group", at, entry.group)
        self._set("axis", at, (*AXES, *UNRANKED).index(record.axis))
        self._set("seeds", at, len(row.records), note=f"{row.seeds} seeds" if row.missing else None)
        self._set("preliminary", at, int(is_preliminary(row)))
        self._set("images_seen", at, row.images_seen)
        if role == "compressed":
            self._level(at, row)
            self._rank(at, entry)
            self._pareto(at, entry.pareto)
        if role == "baseline" or role not in UNPRUNED:
            self._set("weights_pruned", at, row.reached.weights)
            self._set("macs_pruned", at, row.reached.macs)
        self._change(at, entry)
        self._values(at, row)
        self._of_methods(at, entry)

    def content(self) -> dict[str, Any]:
        """Return the part as data."""
        return {
            "start": self.start,
            "names": self.names,
            "columns": {key: _drop_empty_sides(column) for key, column in self.columns.items()},
            "notes": self.notes.texts,
        }

    def _level(self, at: int, row: Row) -> None:
        level = row.first.level
        told = f"{100 * level:.4g}%" if level is not None else None
        name = format_level(row)
        self._set("level", at, level, note=name if name not in ("–", told) else None)

    def _rank(self, at: int, entry: BoardEntry) -> None:
        place = entry.place
        if place is None:
            return
        if place.first is None:
            self._set("rank", at, None, note=f"not ranked: {place.reason}")
        else:
            self._set("rank", at, place.first, note=format_place(place))

    def _pareto(self, at: int, mark: bool | str | None) -> None:
        if isinstance(mark, str):
            self._set("pareto", at, None, note=f"not judged: {mark}")
        elif mark is not None:
            self._set("pareto", at, int(mark))

    def _change(self, at: int, entry: BoardEntry) -> None:
        row = entry.row
        drop = row.drop(entry.section.baseline)
        if row.first.role == "baseline" or drop is None:
            return
        paired = row.get("accuracy_drop")
        low = None if paired.high is None else -100 * paired.high
        high = None if paired.low is None else -100 * paired.low
        self._set("change", at, -100 * drop, low, high)

    def _values(self, at: int, row: Row) -> None:
        keys, columns = self.of_values, self.columns
        for name, value in row.estimates.items():
            if key := keys.get(name):
                column = columns.get(key) or self._column(key)
                column["v"][at] = value.mean
                if value.low is not None and value.high is not None:
                    column["l"][at], column["h"][at] = value.low, value.high
                if value.mean is None or value.undefined:
                    self._note(column, at, explain_undefined(row, value))

    def _of_methods(self, at: int, entry: BoardEntry) -> None:
        row = entry.row
        for cam in entry.section.cams:
            if f"rescaled/{cam}" in self.keys:
                found = entry.section.rescaled(row, f"sp2ps/{cam}")
                self._set(f"rescaled/{cam}", at, found.value, note=found.reason)
            if cam in THRESHOLDS:
                mark = mark_row(row, cam)
                told = None if mark.trusted is None else int(mark.trusted)
                self._set(f"trusted/{cam}", at, told, note=mark.reason)

    def _set(
        self,
        key: str,
        at: int,
        value: float | None,
        low: float | None = None,
        high: float | None = None,
        note: str | None = None,
    ) -> None:
        column = self.columns.get(key) or self._column(key)
        column["v"][at] = value
        if low is not None and high is not None:
            column["l"][at], column["h"][at] = low, high
        self._note(column, at, note)

    def _note(self, column: dict[str, Any], at: int, note: str | None) -> None:
        if note:
            column["n"][at] = self.notes(plain(note))

    def _column(self, key: str) -> dict[str, Any]:
        sides: dict[str, Any] = {side: [None] * self.size for side in "vlh"}
        self.columns[key] = sides | {"n": {}}
        return self.columns[key]


def _drop_empty_sides(column: dict[str, Any]) -> dict[str, Any]:
    """Return a column without what no row has."""
    found = {side: _shorten(column[side]) for side in "vlh" if any(_known(column[side]))}
    return found | ({"n": column["n"]} if column["n"] else {})


def _known(numbers: list[float | None]) -> Iterator[bool]:
    return (number is not None for number in numbers)


def _shorten(numbers: list[float | None]) -> list[float | None]:
    """Round numbers to a digit or two more than is shown; whole ones lose their point."""
    exact = np.array(numbers, dtype=np.float64)
    known = ~np.isnan(exact)
    near = np.round(exact, 5)
    large = np.flatnonzero(np.abs(exact) >= 100)
    if len(large):
        digits = 10.0 ** (5 - np.floor(np.log10(np.abs(exact[large]))))
        near[large] = np.round(exact[large] * digits) / digits
    whole = np.array_equal(near[known], np.rint(near[known]))
    shown = near.astype(np.int64) if whole and known.all() else near
    listed: list[float | None] = shown.tolist()
    if known.all():
        return listed
    return [number if there else None for number, there in zip(listed, known.tolist(), strict=True)]
