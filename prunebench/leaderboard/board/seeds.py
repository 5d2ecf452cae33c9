"""Rule 1: a seed is the unit of evidence, and nobody chooses among them."""

from __future__ import annotations

from collections.abc import Iterable

from prunebench.intervals import LEAST_SEEDS
from prunebench.leaderboard.board.rows import Row, describe_row

LEAST_TO_RANK = 5
LEAST_TO_JUDGE = LEAST_SEEDS
"""Seeds that a mark and a trust horizon need."""


def find_seed_objection(rows: Iterable[Row | None], least: int) -> str | None:
    """Say why the seeds of some rows do not carry a claim; None if they do.

    Args:
        rows: All rows that the claim rests on.
        least: How many seeds it needs.
    """
    for row in rows:
        if row is None:
            continue
        found = tuple(record.seed for record in row.records)
        if row.missing:
            return f"{describe_row(row)} has {row.seeds} seeds"
        if found != tuple(range(len(found))):
            told = ", ".join(map(str, found[:6])) + (", …" if len(found) > 6 else "")
            wanted = f"0 to {len(found) - 1}: all that were run, none chosen"
            return f"{describe_row(row)} has the seeds {told}; expected {wanted}"
        if reason := _find_shared_baseline(row):
            return reason
        if len(found) < least:
            return f"{describe_row(row)} has {len(found)} of the {least} seeds that it takes"
    return None


def _find_shared_baseline(row: Row) -> str | None:
    """Say where several seeds are of one baseline, and so tell nothing of another."""
    keys = [record.keys.get("baseline") for record in row.records]
    told = [key for key in keys if isinstance(key, str)]
    if len(set(told)) == len(told):
        return None
    count = len(set(told))
    return f"{describe_row(row)} has {len(told)} seeds but {count} baseline{'s' * (count > 1)}"


def is_preliminary(row: Row) -> bool:
    """Return whether a row has too few seeds for any claim."""
    return find_seed_objection((row,), LEAST_TO_JUDGE) is not None
