"""What all fuzzing shares: hostile values, how many inputs there are, and what must hold."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunebench.cli import main

FEW, MANY = 25, 200  # inputs


class Done(NamedTuple):
    status: int
    out: str
    err: str


def fuzz(count: int, **inputs: st.SearchStrategy[Any]) -> Callable[..., Any]:
    """Calls a test with the same inputs every time; none is kept from run to run."""
    chosen = settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: chosen(given(**inputs)(test))


def call(*arguments: object) -> Done:
    """Calls the command line: status 0 or 2, and no traceback; else the exception escapes."""
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with (
        patch.object(sys, "argv", ["prunebench", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
    assert status in (0, 2), (status, err.getvalue())
    assert "Traceback" not in out.getvalue() + err.getvalue()
    return Done(int(status), out.getvalue(), err.getvalue())


def look(folder: Path) -> dict[str, str]:
    """Digests of all files under a folder, but for what only remembers digests."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "digests.sqlite"
    }


def texts() -> st.SearchStrategy[str]:
    """Texts that try to be something else."""
    strange = [
        "",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "../../etc/passwd",
        "x" * 5000,
        "{{7*7}}",
        "nan",
        "1e400",
        "-1",
        "9" * 5000,
        "<script>",
        "%s%n",
        "a\nb",
        "[[bold]]",
        "~",
        "\u202e",
    ]
    return st.sampled_from(strange) | st.text(max_size=20)


def numbers() -> st.SearchStrategy[Any]:
    """Numbers at and beyond all borders."""
    borders = [0, -1, 1, 0.5, 1e308, -1e308, 5e-324, 2**31, 2**53 + 1, 2**63, 10**400, True]
    return st.sampled_from([*borders, float("inf"), float("nan")]) | st.floats() | st.integers()


def values() -> st.SearchStrategy[Any]:
    """JSON of any form."""
    leaves = texts() | numbers() | st.none() | st.booleans()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=6,
    )


def changed(content: Any, place: int, value: Any, how: str) -> Any:
    """A copy of JSON in which one entry is another, gone, or there once more."""
    found = copy.deepcopy(content)
    entries = list(_entries(found))
    parent, key = entries[place % len(entries)]
    if how == "gone":
        del parent[key]
    elif how == "twice" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    else:
        parent[key] = value
    return found


def _entries(content: Any) -> Iterator[tuple[Any, Any]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in list(pairs):
        yield content, key
        if isinstance(value, dict | list):
            yield from _entries(value)


def changes() -> dict[str, st.SearchStrategy[Any]]:
    """What ``changed`` takes besides the content."""
    return {
        "place": st.integers(0, 10_000),
        "value": values(),
        "how": st.sampled_from(["other", "other", "other", "gone", "twice"]),
    }


def spoilt(content: bytes, cut: int, at: int, filler: bytes) -> bytes:
    """Bytes with some of them others, and perhaps cut short."""
    at %= max(len(content), 1)
    found = content[:at] + filler + content[at + len(filler) :]
    return found[: cut % (len(content) + 1)] if cut else found


def spoilers() -> dict[str, st.SearchStrategy[Any]]:
    """What ``spoilt`` takes besides the content."""
    return {
        "cut": st.just(0) | st.integers(0, 100_000),
        "at": st.integers(0, 100_000),
        "filler": st.binary(max_size=8) | st.sampled_from([b"\0" * 64, b"\xff" * 64]),
    }


def replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content)
    os.replace(beside, path)
