"""A published table as it was printed, with our rows among its own where they can be sorted."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from prunebench.leaderboard.papers.cards.printed import Words, parse_number
from prunebench.leaderboard.papers.cards.work import PublishedRow
from prunebench.leaderboard.papers.compare import ComparedExperiment, OwnRow
from prunebench.leaderboard.site.links import link_row
from prunebench.leaderboard.site.papers.text import (
    count_digits,
    find_shared,
    format_measured,
    has_sign,
    title_row,
)


@dataclass(frozen=True)
class TableRow:
    """One row: published, or ours."""

    label: str
    cells: tuple[str, ...]
    note: str | None = None
    source: str | None = None
    link: str | None = None
    why: tuple[str, ...] = ()

    @property
    def ours(self) -> bool:
        """Whether it was measured here."""
        return self.link is not None


@dataclass(frozen=True)
class Table:
    """A table with its headings and what all our rows in it have in common."""

    headings: tuple[str, ...]
    rows: tuple[TableRow, ...]
    sorted_by: str | None
    common: tuple[str, ...]

    @property
    def has_ours(self) -> bool:
        """Whether rows of ours are among them."""
        return any(row.ours for row in self.rows)


def make_table(compared: ComparedExperiment) -> Table:
    """Make the table of an experiment: in the source's order, or sorted with ours among it."""
    experiment = compared.experiment
    key = experiment.sorted_by
    common = find_shared(own.why for own in compared.own) if key else ()
    theirs = [(_find_sort_value(row, key), _theirs(compared, row)) for row in experiment.rows]
    ours = [(own.get(key), _ours(compared, own, common)) for own in compared.own if key]
    rows = theirs + ours
    if key:
        rows.sort(key=lambda row: row[0] if row[0] is not None else inf)
    return Table(
        tuple(quantity.title for quantity in experiment.quantities.values()),
        tuple(row for _, row in rows),
        experiment.quantities[key].title if key else None,
        common,
    )


def _find_sort_value(row: PublishedRow, key: str | None) -> float | None:
    value = row.values.get(key or "")
    return parse_number(value) if isinstance(value, str) else None


def _theirs(compared: ComparedExperiment, row: PublishedRow) -> TableRow:
    cells = []
    for key in compared.experiment.quantities:
        value = row.values.get(key)
        cells.append(value.words if isinstance(value, Words) else value or "–")
    return TableRow(row.label, tuple(cells), row.note, row.source)


def _ours(compared: ComparedExperiment, own: OwnRow, common: tuple[str, ...]) -> TableRow:
    cells = []
    for key, quantity in compared.experiment.quantities.items():
        printed = [row.values.get(key) for row in compared.experiment.rows]
        plus = any(has_sign(value) for value in printed if isinstance(value, str))
        numbers = (value for value in printed if not isinstance(value, Words))
        digits = max(map(count_digits, numbers), default=count_digits(None))
        cells.append(format_measured(quantity, own.get(key), digits, plus=plus))
    why = tuple(text for text in own.why if text not in common)
    return TableRow(title_row(own.row), tuple(cells), link=link_row(own.row), why=why)
