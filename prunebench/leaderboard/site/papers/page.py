"""The page of the papers: what was published, beside what was measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.papers.cards.registry import read_works
from prunebench.leaderboard.papers.cards.work import Experiment, Quantity
from prunebench.leaderboard.papers.compare import Beside, Compared, compare_works, not_run
from prunebench.leaderboard.papers.numbers import Number
from prunebench.leaderboard.site.links import row_link
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.papers.again import Again, drawn_again, not_drawn
from prunebench.leaderboard.site.papers.figure import figure_of
from prunebench.leaderboard.site.papers.levels import figures_over_levels
from prunebench.leaderboard.site.papers.table import Table, table_of
from prunebench.leaderboard.site.papers.text import (
    addresses,
    citation,
    digits_of,
    has_sign,
    measured,
    row_title,
    shared,
    signed,
)
from prunebench.leaderboard.site.plots import Drawn
from prunebench.leaderboard.writers.cells import plain

CHOSEN = "chosen by this"


@dataclass(frozen=True)
class Line:
    """One number of the comparison, as text."""

    title: str
    published: str
    ours: str
    bounds: str
    difference: str
    note: str


@dataclass(frozen=True)
class Group:
    """A published row and ours: the lines of its numbers share the rest."""

    label: str
    source: str | None
    note: str | None
    lines: tuple[Line, ...]
    ours: str
    suite: str
    link: str
    exact: bool
    why: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """One experiment as the page shows it.

    Attributes:
        experiment: As its card has it.
        state: Whether it was run.
        not_run: What to say where it was not.
        groups: The published rows beside which a row of ours stands.
        common: What all these rows of ours have in common that the work has not.
        unmatched: The other published rows, by why nothing stands beside them.
        table: The published table, where the groups do not show all of it.
        figure: Two of its columns, for plotly.js.
        over_levels: Where it is a correlation over levels, its two values over these.
        again: Its own figures, drawn again from our records.
        not_drawn: What to say of those that nothing of ours draws.
    """

    experiment: Experiment
    state: str
    not_run: str
    groups: tuple[Group, ...]
    common: tuple[str, ...]
    unmatched: dict[str, list[str]]
    table: Table | None
    figure: dict[str, Any] | None
    over_levels: tuple[Drawn, ...]
    again: tuple[Again, ...]
    not_drawn: str | None


def write(sections: Sequence[Section], site: Path) -> None:
    """Writes ``papers.html``.

    Args:
        sections: The board.
        site: The site's folder.

    Raises:
        RequestError: A work's card is malformed.
    """
    works = read_works()
    compared = compare_works(works, sections)
    shown = [(name, work, [view(one) for one in compared[name]]) for name, work in works.items()]
    render(site, "papers.html", "papers.html", works=shown, citation=citation, addresses=addresses)


def view(compared: Compared) -> View:
    """Brings a comparison into the form of the page."""
    experiment = compared.experiment
    matched = [beside for beside in compared.rows if beside.row]
    common = shared(beside.why for beside in matched)
    unmatched: dict[str, list[str]] = {}
    for beside in compared.rows:
        if not beside.row:
            unmatched.setdefault("; ".join(beside.why), []).append(beside.published.label)
    return View(
        experiment,
        compared.state,
        not_run(experiment),
        tuple(_group(experiment, beside, common) for beside in matched),
        common,
        unmatched if matched else {},
        table_of(compared) if unmatched or (compared.own and experiment.sorted_by) else None,
        figure_of(compared),
        tuple(drawn for beside in matched for drawn in _over_levels(experiment, beside)),
        drawn_again(compared),
        not_drawn(compared),
    )


def _over_levels(experiment: Experiment, beside: Beside) -> Iterator[Drawn]:
    """Figures of each correlation over levels that stands beside a published one."""
    for found in beside.numbers:
        reading = experiment.quantities[found.key].reading
        if found.ours is not None and reading is not None and reading.other is not None:
            yield from figures_over_levels(beside.levels, (reading.other, reading.name))


def _group(experiment: Experiment, beside: Beside, common: Sequence[str]) -> Group:
    row = beside.row
    assert row is not None
    chosen_by = beside.chosen_by(experiment)
    return Group(
        beside.published.label,
        beside.published.source,
        beside.published.note,
        tuple(
            _line(experiment.quantities[found.key], found, chosen=found.key == chosen_by)
            for found in beside.numbers
        ),
        row_title(row, len(beside.levels)),
        plain(row.first.suite),
        row_link(row),
        beside.exact,
        tuple(text for text in beside.why if text not in common),
    )


def _line(quantity: Quantity, found: Number, *, chosen: bool) -> Line:
    """One number; that by which the level was chosen is near by choice, and no result."""
    digits = digits_of(found.printed)
    bounds = ""
    if found.low is not None and found.high is not None:
        bounds = f"[{signed(found.low, digits)}, {signed(found.high, digits)}]"
    difference = "–"
    if found.difference is not None:
        difference = CHOSEN if chosen else signed(found.difference, digits, plus=True)
    ours = measured(quantity, found.ours, digits, plus=has_sign(found.printed))
    return Line(quantity.title, found.printed or "–", ours, bounds, difference, found.note or "")
