"""Which of a section's rows stands beside a published one: the nearest level, never a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.printed import count_decimals, parse_number
from prunebench.leaderboard.papers.cards.work import PublishedExperiment, PublishedRow
from prunebench.leaderboard.papers.differences import is_of_pruner
from prunebench.leaderboard.papers.numbers import Number, find_scale
from prunebench.leaderboard.papers.readings import read_value


def list_candidates(rows: Iterable[Row], published: PublishedRow) -> list[Row]:
    """Return the rows of the published row's role and, if it names any, of its pruners."""
    own = (published.pruners or ()) if published.role == "compressed" else ()
    return [
        row for row in rows if row.first.role == published.role and is_of_pruner(row.first, own)
    ]


def find_nearest(
    experiment: PublishedExperiment, published: PublishedRow, rows: Sequence[Row], section: Section
) -> Row:
    """Return the row whose level is nearest by the card's column; the first if it gives none."""
    key = experiment.nearest or ""
    wanted, quantity = published.values.get(key), experiment.quantities.get(key)
    reading = quantity.reading if quantity else None
    if quantity is None or reading is None or not isinstance(wanted, str):
        return rows[0]
    target = parse_number(wanted) / find_scale(quantity)

    def distance(row: Row) -> tuple[float, str]:
        value = read_value(reading, row, section.baseline).value
        return (float("inf") if value is None else abs(value - target), row.first.id)

    return min(rows, key=distance)


def choose_levels(rows: Sequence[Row], section: Section) -> list[Row]:
    """Return all levels of the method that has most, after the uncompressed network.

    The first is the ``none`` control, trained as long as the others; else the baseline.
    """
    ordered = sorted(rows, key=lambda row: row.first.pruner)
    methods = [list(same) for _, same in groupby(ordered, key=lambda row: row.first.pruner)]
    start = section.control or section.baseline
    return ([start] if start else []) + max(methods, key=len)


def explain_choice(
    experiment: PublishedExperiment, published: PublishedRow, rows: Sequence[Row]
) -> tuple[str, ...]:
    """Say that the card does not tell which of several rows of ours is meant, if it does not."""
    if experiment.nearest or published.role != "compressed" or len(rows) < 2:
        return ()
    return (f"one of {len(rows)} rows of ours, which the card does not tell apart",)


def explain_other_level(
    experiment: PublishedExperiment, published: PublishedRow, found: Sequence[Number]
) -> tuple[str, ...]:
    """Say that the nearest level is another than the published one, if it is."""
    key = experiment.nearest or ""
    wanted = published.values.get(key)
    here = next((number for number in found if number.key == key), None)
    if here is None or here.difference is None or not isinstance(wanted, str):
        return ()
    digits, quantity = count_decimals(wanted), experiment.quantities[key]
    if round(abs(here.difference), digits) == 0:
        return ()
    percent = "%" if quantity.unit == "percent" else ""
    title = quantity.title
    return (
        f"the nearest level of ours has {title} {here.ours:.{digits}f}{percent} ({wanted} there)",
    )
