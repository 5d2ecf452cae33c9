"""A row's suite as text: the YAML that makes the row again."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import yaml

from prunebench.leaderboard.board.rows import Row

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def make_suite_text(row: Row) -> str:
    """Write the suite that makes a row again, with all its seeds; empty if there is none."""
    excerpt = dict(row.first.suite_excerpt)
    if excerpt and len(row.records) > 1:
        excerpt["seeds"] = [record.seed for record in row.records]
    # Most parts are the same for thousands of rows: each is written once.
    return "".join(_part(json.dumps({key: excerpt[key]})) for key in sorted(excerpt))


@lru_cache(maxsize=4096)
def _part(text: str) -> str:
    content: dict[str, Any] = json.loads(text)
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=100))
