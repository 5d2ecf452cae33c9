"""Numbers of a row as people write them, by the kind of value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunebench.leaderboard.board.rows import Estimate
from prunebench.leaderboard.site.families import Kind
from prunebench.leaderboard.writers.cells import count, plain


def written(number: float, kind: Kind) -> str:
    """A number in the form of its kind, such as ``93.20`` for a fraction in percent."""
    if kind == "score":
        text = f"{number:.3f}"
        return "0.000" if text == "-0.000" else text
    if kind == "percent":
        return f"{100 * number:.2f}"
    if kind == "ratio":
        return f"×{number:.2f}"
    if kind == "count" and (number == int(number) or abs(number) >= 1000):
        return count(Estimate(number))
    return f"{number:#.3g}".rstrip(".") if abs(number) < 1000 else f"{number:.0f}"


def bounds(low: float | None, high: float | None, kind: Kind) -> str:
    """An interval, or nothing."""
    if low is None or high is None:
        return ""
    return f"[{written(low, kind)}, {written(high, kind)}]"


def told(content: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    """What a nested mapping from a record holds, line by line: name and text."""
    for key, value in content.items():
        name = f"{under} {key}".strip() if under else str(key)
        if isinstance(value, Mapping):
            yield from told(value, name)
        elif value not in (None, "", [], ()):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield plain(name.replace("_", " ")), plain(text)
