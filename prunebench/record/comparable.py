"""Which records may be compared, and which are seeds of one row."""

from __future__ import annotations

import json
from typing import Any

from prunebench.record.record import Record

ROLES = ("baseline", "control", "floor", "compressed")
"""What a network can be, in the order in which a board tells of them."""


def section_key(record: Record) -> tuple[str, ...]:
    """Return what must be equal for two records to stand in one table."""
    conditions = json.dumps(record.conditions.model_dump(mode="json"), sort_keys=True)
    return (record.dataset, record.model, record.protocol, conditions)


def row_key(record: Record) -> tuple[Any, ...]:
    """Return what is equal for all seeds of a row, by which rows of a protocol are sorted."""
    return (
        ROLES.index(record.role),
        record.axis,
        record.pruner,
        record.round or 0,
        -1.0 if record.level is None else record.level,
    )
