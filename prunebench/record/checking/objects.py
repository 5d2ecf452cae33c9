"""Is it known what the objects of a Python program were, of which a record was made?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prunebench.plugins.objects import BY_NAME, PREFIX
from prunebench.record import Record
from prunebench.record.checking.problem import Problem


def check_objects(record: Record) -> Iterator[Problem]:
    """Yield objects that are known by their name alone, which anybody's may have."""
    for name in _find_by_name(record.suite_excerpt):
        yield Problem(
            "suite_excerpt",
            f"holds {name!r}, of which nobody can tell but by its name what it was",
            "a plugin of a package, or an object whose content could be read: see prunebench.named",
        )


def _find_by_name(written: Any) -> Iterator[str]:
    if isinstance(written, dict):
        for name, value in written.items():
            if name.startswith(PREFIX) and _read_content(value) == BY_NAME:
                yield name
            yield from _find_by_name(value)
    elif isinstance(written, list):
        for each in written:
            yield from _find_by_name(each)


def _read_content(parameters: Any) -> Any:
    return parameters.get("content") if isinstance(parameters, dict) else None
