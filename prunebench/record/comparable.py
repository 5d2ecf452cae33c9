"""Which records may be compared, and which are seeds of one row."""

from __future__ import annotations

import json
import re
from typing import Any

from prunebench.record.record import Record

ROLES = ("baseline", "control", "floor", "twin", "retrained", "small", "compressed")
"""What a network can be, in the order in which a board tells of them."""

SMALLER = ("small", "compressed")
"""Roles of the networks of which a part was removed, or never there."""


def section_key(record: Record) -> tuple[str, ...]:
    """Return what must be equal for two records to stand in one table."""
    conditions = json.dumps(record.conditions.model_dump(mode="json"), sort_keys=True)
    return (record.dataset, record.model, record.protocol, conditions)


def list_plugin_versions(record: Record) -> dict[str, int]:
    """Return the versions of the plugins at work, such as ``{"cams/grad-cam": 2}``.

    The data set's and the model's are among the conditions, and left out.
    """
    told = record.provenance.get("plugins")
    found = {}
    for name, text in told.items() if isinstance(told, dict) else ():
        form = re.match(r"\d{1,9}\b", text, re.ASCII) if isinstance(text, str) else None
        if form and name.startswith(("pruners/", "cams/", "metrics/")):
            found[name] = int(form[0])
    return found


def row_key(record: Record) -> tuple[Any, ...]:
    """Return what is equal for all seeds of a row, by which rows of a protocol are sorted."""
    return (
        ROLES.index(record.role),
        record.axis,
        record.pruner,
        record.round or 0,
        -1.0 if record.level is None else record.level,
    )
