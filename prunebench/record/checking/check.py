"""All checks of a record."""

from __future__ import annotations

from collections.abc import Iterable

from prunebench.record import Record
from prunebench.record.checking.cells import missing_cells
from prunebench.record.checking.completeness import incomplete
from prunebench.record.checking.consistency import inconsistent
from prunebench.record.checking.level import missed_level
from prunebench.record.checking.others import Others
from prunebench.record.checking.pictures import bad_pictures
from prunebench.record.checking.problem import Problem
from prunebench.record.checking.ranges import out_of_range
from prunebench.record.checking.text import unsafe_text
from prunebench.record.checking.times import false_times, wrong_times


def check_record(
    record: Record, others: Others | Iterable[Record] = (), *, published: bool = False
) -> list[Problem]:
    """Check a record as far as that can be done without making it again.

    Args:
        record: A record that was read, and so fits the schema.
        others: The records that it will stand among: with its baseline among them, fractions are
            checked against the counts they were made from. The record itself may be one of them.
        published: Whether it is to stand on a board: its baseline must then be among the others.

    Returns:
        What is wrong; nothing for a record that may be published.
    """
    among = others if isinstance(others, Others) else Others(others)
    return [
        *unsafe_text(record),
        *bad_pictures(record),
        *incomplete(record),
        *missing_cells(record),
        *false_times(record),
        *(among.misses_baseline(record) if published else ()),
        *inconsistent(record, among.baseline(record)),
        *wrong_times(record),
        *missed_level(record, among.baseline(record)),
        *out_of_range(record),
        *among.repeats(record),
    ]
