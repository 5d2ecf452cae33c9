"""Rows' pages: one page for all, and one file of content a row that it loads by the row's name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.budget import find_budgets
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.site.board.rows import BoardEntry, list_entries
from prunebench.leaderboard.site.links import name_row
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.row.badges import ShownRow
from prunebench.leaderboard.site.row.content import make_content
from prunebench.leaderboard.site.scripts import write_call


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``row.html`` and ``rows/NAME.js`` for every row."""
    folder = site / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(list_entries(sections))
    levels = _levels(rows)
    ranked = _ranked(sections)
    budgets = [find_budgets(section.rows) for section in sections]
    for entry in rows:
        row = entry.row
        shown = ShownRow(
            row,
            entry.place,
            entry.section,
            entry.pareto,
            levels[_pruner(entry)],
            ranked.get((entry.group, row.first.axis), 0),
            budgets[entry.group].get(row.first.id),
        )
        write_call(folder / f"{name_row(row)}.js", "RowPage.show", make_content(shown))
    render(site, "row.html", "row.html")


Pruner = tuple[int, str, str, str]


def _levels(rows: Sequence[BoardEntry]) -> dict[Pruner, list[Row]]:
    """Return the rows of each pruner on each axis, by rising compression."""
    found: dict[Pruner, list[Row]] = {}
    for entry in rows:
        found.setdefault(_pruner(entry), []).append(entry.row)
    return found


def _pruner(entry: BoardEntry) -> Pruner:
    record = entry.row.first
    return (entry.group, record.role, record.axis, record.pruner)


def _ranked(sections: Sequence[Section]) -> dict[tuple[int, str], int]:
    """Count the pruners that have a rank, by section and axis."""
    return {
        (group, axis): sum(place.ranked for place in ranking.places)
        for group, section in enumerate(sections)
        for axis, ranking in section.rankings.items()
    }
