"""Is the text of a record safe as a file's name, in a terminal and on a page?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from prunebench.record import Record
from prunebench.record.checking.problem import Problem

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:;()=+/{}\[\]'@*%-]*")
VALUE = re.compile(r"([A-Za-z]\w*)(\(.*\))?(/[A-Za-z0-9][^()]*(\(.*\))?)?", re.ASCII)
"""A metric's value, variant and explanation method: ``sp2ps(x=1)/grad-cam``."""
COLUMNS = {
    "group",
    "macs_gone",  # of the boards of 0.1
    "macs_pruned",
    "pareto",
    "rank",
    "rescaled",
    "trusted",
    "weights_gone",
    "weights_pruned",
}
"""Of boards; with a record's own fields, what a value may not be called."""
LONGEST_NAME = 300
LONGEST_TEXT = 20_000
# Control characters but for tab and new line, and those that turn the direction of text.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
PICTURES = {"heatmaps", "moved", "changed", "pictures"}  # base64: see pictures.py
NAMED = ("values", "times", "curves", "pictures")


def check_text(record: Record) -> Iterator[Problem]:
    """Yield ids, names, texts and numbers that may do harm where they are shown."""
    if RESERVED.fullmatch(record.id):
        yield Problem("id", f"{record.id!r} is not a file's name everywhere", "another suite name")
    for field in NAMED:
        for name in getattr(record, field):
            if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
                yield Problem(
                    f"{field}.{name[:80]}",
                    "has strange characters in its name",
                    "letters, digits and _ . , : ; ( ) = + / { } [ ] ' @ * % -",
                )
    for name in record.values:
        form = VALUE.fullmatch(name)
        if not form or form[1].lower() in COLUMNS | Record.model_fields.keys():
            wrong = "is not what a value is called"
            yield Problem(f"values.{name[:80]}", wrong, "METRIC or METRIC/METHOD, no column's name")
    yield from _find_unsafe(record.model_dump(mode="json", exclude=PICTURES), "")
    yield from _find_unsafe([heat.cam for heat in record.heatmaps], "heatmaps")
    yield from _find_unsafe([moved.cam for moved in record.moved], "moved")


def _find_unsafe(content: Any, field: str) -> Iterator[Problem]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _find_unsafe(name, field or "record")
            yield from _find_unsafe(value, f"{field}.{name}" if field else name)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _find_unsafe(value, f"{field}.{number}")
    elif isinstance(content, float):
        if not math.isfinite(content):  # where a record's form is free; not JSON
            yield Problem(field, f"is {content}", "a number, or a text in quotes")
    elif isinstance(content, str):
        if found := UNSAFE.search(content):
            yield Problem(field, f"holds the character U+{ord(found[0]):04X}", "plain text")
        if len(content) > LONGEST_TEXT:
            wrong = f"{len(content):,} characters"
            yield Problem(field, wrong, f"at most {LONGEST_TEXT:,}")
