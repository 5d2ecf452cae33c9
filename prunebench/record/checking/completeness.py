"""Is everything there that makes a row repeatable, and its origin known?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prunebench.record import Record
from prunebench.record.checking.problem import Problem

KEY = re.compile(r"[0-9a-f]{32}")
EXCERPT = ("name", "dataset", "model", "pruners", "metrics", "seeds")
PACKAGES = ("prunebench", "torch")
MADE = ("values", "times", "per_image", "recalls", "changed", "moved", "heatmaps", "pictures")
"""What only a network has that was made."""


def check_completeness(record: Record) -> Iterator[Problem]:
    """Yield what is missing of suite, keys, conditions and provenance."""
    for name in EXCERPT:
        singular = name.removesuffix("s")
        if not (record.suite_excerpt.get(name) or record.suite_excerpt.get(singular)):
            yield Problem(f"suite_excerpt.{name}", "is missing", "the suite that makes the row")
    for name in ("network", "baseline"):
        yield from _check_key(f"keys.{name}", record.keys.get(name))
    cells = record.keys.get("cells")
    if not (isinstance(cells, Mapping) and cells):
        yield Problem("keys.cells", "is missing", "the key of each value's step")
    else:
        for name, key in cells.items():
            yield from _check_key(f"keys.cells.{name}", key)
    for name in ("data_digest", "device", "precision"):
        if not getattr(record.conditions, name):
            yield Problem(f"conditions.{name}", "is empty", "what the row was made from")
    yield from _check_outcome(record)
    yield from _check_provenance(record)


def _check_outcome(record: Record) -> Iterator[Problem]:
    """Yield a problem where a network has no value, or one that could not be made has anything."""
    if record.failure is None:
        if not record.values:
            yield Problem("values", "there is none", "at least one value, or the failure")
        return
    if record.role == "baseline":
        yield Problem("failure", "nothing is compared with a baseline that failed", "a network")
    for name in MADE:
        if getattr(record, name):
            yield Problem(name, "of a network that could not be made", "none")
    if any(record.reached.model_dump().values()):
        yield Problem("reached", "of a network that could not be made", "zeros")


def _check_key(field: str, key: Any) -> Iterator[Problem]:
    if not (isinstance(key, str) and KEY.fullmatch(key)):
        yield Problem(field, f"{str(key)[:40]!r} is no key", "32 hexadecimal digits")


def _check_provenance(record: Record) -> Iterator[Problem]:
    packages = record.provenance.get("packages")
    for name in PACKAGES:
        found = packages.get(name) if isinstance(packages, Mapping) else None
        if not (isinstance(found, str) and found):
            yield Problem(f"provenance.packages.{name}", "is missing", "the version it was made by")
    if not isinstance(record.provenance.get("processor"), str):
        yield Problem("provenance.processor", "is missing", "the processor's name")
    threads = record.provenance.get("threads")
    if not (isinstance(threads, int) and threads >= 1):
        yield Problem("provenance.threads", f"{str(threads)[:40]!r}", "a number of threads")
    plugins = record.provenance.get("plugins")
    if not (isinstance(plugins, Mapping) and plugins):
        yield Problem("provenance.plugins", "is missing", "versions of the plugins at work")
