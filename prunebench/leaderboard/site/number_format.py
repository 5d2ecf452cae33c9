"""Numbers of a row as people write them, by the kind of value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prunebench.leaderboard.board.rows import Estimate
from prunebench.leaderboard.site.families import Kind
from prunebench.leaderboard.writers.cells import format_count, plain


def format_number(number: float, kind: Kind) -> str:
    """Write a number in the form of its kind, such as ``93.20`` for a fraction in percent."""
    if kind == "score":
        text = f"{number:.3f}"
        return "0.000" if text == "-0.000" else text
    if kind == "percent":
        return f"{100 * number:.2f}"
    if kind == "ratio":
        return f"×{number:.2f}"
    if kind == "count" and (number == int(number) or abs(number) >= 1000):
        return format_count(Estimate(number))
    return f"{number:#.3g}".rstrip(".") if abs(number) < 1000 else f"{number:.0f}"


def format_bounds(low: float | None, high: float | None, kind: Kind) -> str:
    """Write an interval, or nothing."""
    if low is None or high is None:
        return ""
    return f"[{format_number(low, kind)}, {format_number(high, kind)}]"


def flatten_mapping(content: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    """Yield name and text of all that a nested mapping from a record holds."""
    for key, value in content.items():
        name = f"{under} {key}".strip() if under else str(key)
        if isinstance(value, Mapping):
            yield from flatten_mapping(value, name)
        elif value not in (None, "", [], ()):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield plain(name.replace("_", " ")), plain(text)
