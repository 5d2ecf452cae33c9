"""Is each metric that the record's suite names there, for each explanation method?

A suite names metrics and methods; a record has one key for each of their pairs, a cell, and values
of each. Names alone are compared: a metric that is not installed here can be checked as well, but
for what its values are called, which it would declare.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prunebench.record import Record
from prunebench.record.checking.problem import Problem
from prunebench.record.scales import main_values

PARTLY_MEASURED = ("floor", "twin", "retrained")
"""Of which maps are compared with the baseline's, and of a twin its answers, and nothing else."""
PARAMETERS = r"(\(.*\))?"


def check_cells(record: Record) -> Iterator[Problem]:
    """Yield metrics without a key or without a value."""
    keys = record.keys.get("cells")
    cells = [name for name in keys if isinstance(name, str)] if isinstance(keys, Mapping) else []
    if not cells or record.failure:
        return  # said elsewhere, or nothing was measured
    cams = count_named(record.suite_excerpt, "cam")
    for metric, count in count_named(record.suite_excerpt, "metric").items():
        plain = _count_matching(cells, re.escape(metric) + PARAMETERS)
        by_cam = {cam: _count_matching(cells, _pattern_of(re.escape(metric), cam)) for cam in cams}
        if not plain and not any(by_cam.values()):
            if record.role not in PARTLY_MEASURED:
                yield Problem(f"keys.cells.{metric}", "is missing", "a metric of the suite")
            continue
        if plain:
            if plain != count:
                yield Problem(f"keys.cells.{metric}", f"is there {plain} times", f"{count}")
            yield from _check_value(record, metric, None)
            continue
        for cam, found in by_cam.items():
            if record.role == "retrained" and not found:
                continue  # a method that learns nothing
            if found != count * cams[cam]:
                wrong = f"is there {found} times"
                yield Problem(f"keys.cells.{metric}/{cam}", wrong, f"{count * cams[cam]}")
            yield from _check_value(record, metric, cam)
    yield from _check_number(record, cells)


def count_named(excerpt: Mapping[str, Any], kind: str) -> Counter[str]:
    """Count how often a suite names each plugin of a kind, such as ``metric``."""
    written = excerpt.get(kind + "s", excerpt.get(kind))
    listed = written if isinstance(written, list) else [written]
    names = (next(iter(one), None) if isinstance(one, dict) else one for one in listed)
    return Counter(name for name in names if isinstance(name, str))


def _pattern_of(name: str, cam: str) -> str:
    return f"{name}{PARAMETERS}/{re.escape(cam)}{PARAMETERS}"


def _count_matching(names: list[str], pattern: str) -> int:
    form = re.compile(pattern)
    return sum(1 for name in names if form.fullmatch(name))


def _check_value(record: Record, metric: str, cam: str | None) -> Iterator[Problem]:
    """Yield a problem where a metric has neither a value that it declares nor a null one."""
    declared = main_values(metric.partition("/")[0])
    if not declared:
        return
    name = re.escape(re.sub(r"[-/]", "_", metric))  # as a value is called that could not be made
    forms = f"({'|'.join([name, *declared])})"
    pattern = _pattern_of(forms, cam) if cam else forms + PARAMETERS
    if not _count_matching(list(record.values), pattern):
        field = f"values.{name}/{cam}" if cam else f"values.{name}"
        yield Problem(field, "is missing", f"what {metric!r} gives, or null with a reason")


def _check_number(record: Record, cells: list[str]) -> Iterator[Problem]:
    """Yield a problem where there are fewer values than cells; zero maps are no metric's."""
    found = [name for name in record.values if not name.startswith("zero_map_fraction")]
    if len(found) < len(cells):
        yield Problem("values", f"{len(found)} of {len(cells)} cells", "a value of each cell")
