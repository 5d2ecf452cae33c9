"""One published number and ours, in the unit of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prunebench.leaderboard.board.collapse import find_bar
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.printed import Words, parse_number
from prunebench.leaderboard.papers.cards.work import PublishedRow, Quantity
from prunebench.leaderboard.papers.readings import ReadValue, read_levels, read_value


@dataclass(frozen=True)
class Number:
    """A column of a published row, and ours.

    Attributes:
        key: The column.
        printed: As the source prints it; None where it gives none.
        ours: In the unit of the source; None where there is none.
        low: Lower end of our 95% interval, if there is one.
        high: Upper end.
        difference: Ours minus theirs, in the unit of the source.
        note: Why there is no number, or what to know about it.
    """

    key: str
    printed: str | None
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    note: str | None = None


def list_printed_numbers(published: PublishedRow) -> tuple[Number, ...]:
    """Return a published row's numbers with nothing of ours beside them."""
    return tuple(Number(key, _to_text(value)) for key, value in published.values.items())


def compare_number(
    key: str,
    quantity: Quantity,
    published: PublishedRow | None,
    row: Row,
    baseline: Row | None,
    levels: Sequence[Row] = (),
) -> Number:
    """Read a column off our row, and the difference to what was published.

    Args:
        key: The column.
        quantity: What it is.
        published: The published row; None for a row of ours alone.
        row: Our row.
        baseline: The baseline of its protocol.
        levels: All levels of its method, for columns that are read over them.
    """
    value = published.values.get(key) if published else None
    reading = quantity.reading
    if reading is None:
        return Number(key, _to_text(value), note="nothing of ours answers it")
    if reading.levels:
        found = read_levels(reading, levels, find_bar(baseline, *levels[:1]))
    else:
        found = read_value(reading, row, baseline)
    if found.value is None:
        return Number(key, _to_text(value), note=found.note)
    ours, low, high = _scale(quantity, found)
    difference = ours - parse_number(value) if isinstance(value, str) else None
    return Number(key, _to_text(value), ours, low, high, difference, found.note)


def find_scale(quantity: Quantity) -> float:
    """Return the factor that brings our fractions to the unit of the source."""
    return 100.0 if quantity.unit == "percent" else 1.0


def _scale(quantity: Quantity, found: ReadValue) -> tuple[float, float | None, float | None]:
    by = find_scale(quantity)
    low, high = (None if end is None else by * end for end in (found.low, found.high))
    return by * (found.value or 0.0), low, high


def _to_text(value: str | Words | None) -> str | None:
    return value.words if isinstance(value, Words) else value
