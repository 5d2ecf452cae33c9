"""Lines of one pruner over the compression that it really reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.site.plots import COLOURS, SYMBOLS, label

MOST_OTHERS = 25  # grey lines of one figure
GREY = "rgba(130,136,148,0.7)"
DASHES = ("solid", "dash", "dot", "dashdot")

Levels = Mapping[str, Sequence[Row]]
"""The rows of each label of a pruner, by rising compression."""


def name_pruned_count(axis: str) -> str:
    """Return what an axis counts as pruned: MACs, or weights where they are masked."""
    return "weights" if axis == "masked" else "MACs"


def style_line(variant: int, cam: int, cams: int) -> dict[str, Any]:
    """Return a line's look: its method's colour, its variant's dash and symbol."""
    colour = COLOURS[(cam if cams > 1 else variant) % len(COLOURS)]
    return {
        "line": {"color": colour, "dash": DASHES[variant % len(DASHES)], "width": 2},
        "marker": {"color": colour, "symbol": SYMBOLS[(variant + cam) % len(SYMBOLS)], "size": 8},
    }


def _points(control: Row | None, rows: Sequence[Row]) -> list[tuple[float, Row]]:
    start = [(0.0, control)] if control else []
    return start + [(row.pruned, row) for row in rows]


def draw_line(control: Row | None, rows: Sequence[Row], name: str, key: str) -> dict[str, Any]:
    """Draw one value over a variant's levels, from ``none`` on, with its intervals."""
    points = _points(control, rows)
    values = [row.get(name) for _, row in points]
    above = [0 if v.high is None or v.mean is None else v.high - v.mean for v in values]
    below = [0 if v.low is None or v.mean is None else v.mean - v.low for v in values]
    percent = ".2%" if name == "accuracy" else ".3f"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": _short(key),
        "x": [round(x, 5) for x, _ in points],
        "y": [None if v.mean is None else round(v.mean, 5) for v in values],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [round(each, 5) for each in above],
            "arrayminus": [round(each, 5) for each in below],
            "thickness": 1,
            "width": 3,
        },
        "text": [label(f"{key}, {format_level(row)}") for _, row in points],
        "hovertemplate": f"%{{text}}<br>%{{x:.1%}} pruned: %{{y:{percent}}}<extra></extra>",
    }


def _short(key: str) -> str:
    return label(key if len(key) <= 44 else key[:43] + "…")


def draw_other_lines(control: Row | None, others: Levels, name: str) -> dict[str, Any]:
    """Draw the other pruners' lines in one trace, for comparison."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for pruner, rows in list(others.items())[:MOST_OTHERS]:
        for x, row in _points(control, rows):
            mean = row.get(name).mean
            xs.append(round(x, 5))
            ys.append(None if mean is None else round(mean, 5))
            texts.append(label(pruner))
        xs.append(None)
        ys.append(None)
        texts.append("")
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "other pruners",
        "x": xs,
        "y": ys,
        "text": texts,
        "line": {"color": GREY, "width": 1},
        "hovertemplate": "%{text}<extra></extra>",
    }


def describe_line(control: Row | None, rows: Sequence[Row], name: str, key: str) -> str:
    """Describe a line in words: where it starts and where it ends."""
    known = [(x, m) for x, row in _points(control, rows) if (m := row.get(name).mean) is not None]
    if not known:
        return f"{key} has no value"
    (x0, y0), (x1, y1) = known[0], known[-1]
    if len(known) == 1:
        return f"{key} {y0:.3f} at {100 * x0:.0f}%"
    return f"{key} from {y0:.3f} at {100 * x0:.0f}% to {y1:.3f} at {100 * x1:.0f}%"
