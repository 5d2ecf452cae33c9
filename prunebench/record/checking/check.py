"""All checks of a record."""

from __future__ import annotations

from collections.abc import Iterable

from prunebench.record import Record
from prunebench.record.checking.cells import check_cells
from prunebench.record.checking.completeness import check_completeness
from prunebench.record.checking.consistency import check_consistency
from prunebench.record.checking.level import check_level
from prunebench.record.checking.objects import check_objects
from prunebench.record.checking.per_image import check_per_image
from prunebench.record.checking.pictures import check_pictures
from prunebench.record.checking.problem import Problem
from prunebench.record.checking.ranges import check_ranges
from prunebench.record.checking.recalls import check_recalls
from prunebench.record.checking.record_index import RecordIndex
from prunebench.record.checking.text import check_text
from prunebench.record.checking.times import check_measured, check_times
from prunebench.record.checking.weights import check_weights


def check_record(
    record: Record, others: RecordIndex | Iterable[Record] = (), *, published: bool = False
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
    index = others if isinstance(others, RecordIndex) else RecordIndex(others)
    return [
        *check_text(record),
        *check_objects(record),
        *check_pictures(record),
        *check_completeness(record),
        *check_cells(record),
        *check_measured(record),
        *(index.check_baseline(record) if published else ()),
        *(check_weights(record) if published else ()),
        *check_consistency(record, index.baseline_of(record)),
        *check_times(record),
        *check_level(record, index.baseline_of(record)),
        *check_ranges(record),
        *check_per_image(record),
        *check_recalls(record, index.baseline_of(record)),
        *index.check_repeats(record),
    ]
