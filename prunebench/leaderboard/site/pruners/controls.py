"""What the scale means, on a figure: ``none``, twin, small networks and random weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prunebench.leaderboard.board.roles import describe_reference, list_shown
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.leaderboard.site.plots import label

COLOURS = {"control": "#333333", "twin": "#8A5FB0", "floor": "#9A6A3A", "small": "#00897B"}
"""Of their own: a pruner's line never has one of these."""
DASHES = {"control": "solid", "twin": "dashdot", "floor": "longdash"}


@dataclass(frozen=True)
class DrawnControl:
    """A control on a figure.

    Attributes:
        trace: Its line or point, which the legend names.
        band: Its interval across the figure; None where it has none, or is a point.
        words: What it is, in numbers.
    """

    trace: dict[str, Any]
    band: dict[str, Any] | None
    words: str


def draw_controls(
    rows: Sequence[Row], axis: str, name: str, span: Sequence[float], *, named: bool
) -> Iterator[DrawnControl]:
    """Draw every control that has a value: small networks as points, the others as bands.

    Args:
        rows: All rows of a section.
        axis: Dense or masked: where a small network stands.
        name: The value, such as ``sp2ps/grad-cam``.
        span: The ends of the figure.
        named: Whether the figure shows several explanation methods, so that theirs is named.
    """
    for row in list_shown(rows):
        found = row.get(name)
        if found.mean is not None:
            place = row.reached.weights if axis == "masked" else row.reached.macs
            under = f" ({name.partition('/')[2]})" if named else ""
            yield draw_control(row, found, place, span, under)


def draw_control(
    row: Row, found: Estimate, place: float, span: Sequence[float], under: str = ""
) -> DrawnControl:
    """Draw one control: a small network as a point, any other as a band.

    Args:
        row: The control.
        found: Its value in the figure's units; it has a mean.
        place: Where a small network stands.
        span: The ends of the figure.
        under: What of its several values it is, after its name.
    """
    role = row.first.role
    title = f"{describe_reference(row.first)}{under}"
    words = f"{title} {found.mean or 0:.3f}"
    if role == "small":
        return DrawnControl(_draw_point(title, place, found), None, words)
    return DrawnControl(_draw_line(title, role, span, found), _band(role, found), words)


def _draw_line(title: str, role: str, span: Sequence[float], found: Estimate) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": label(title),
        "x": list(span),
        "y": [round(found.mean or 0.0, 5)] * 2,
        "line": {"color": COLOURS[role], "dash": DASHES[role], "width": 1.5},
        "hovertemplate": f"{label(title)}: {_describe(found)}<extra></extra>",
    }


def _draw_point(title: str, place: float, found: Estimate) -> dict[str, Any]:
    mean = found.mean or 0.0
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(title),
        "x": [round(place, 5)],
        "y": [round(mean, 5)],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [0 if found.high is None else round(found.high - mean, 5)],
            "arrayminus": [0 if found.low is None else round(mean - found.low, 5)],
            "thickness": 1,
            "width": 3,
        },
        "marker": {"color": COLOURS["small"], "symbol": "star", "size": 11},
        "hovertemplate": f"{label(title)}: {_describe(found)}<extra></extra>",
    }


def _band(role: str, found: Estimate) -> dict[str, Any] | None:
    if found.low is None or found.high is None:
        return None
    return {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": round(found.low, 5),
        "y1": round(found.high, 5),
        "fillcolor": COLOURS[role],
        "opacity": 0.12,
        "line": {"width": 0},
        "layer": "below",
    }


def _describe(found: Estimate) -> str:
    between = "" if found.low is None else f" [{found.low:.3f}, {found.high or 0:.3f}]"
    return f"{found.mean or 0:.3f}{between}"
