"""Figures of correlation and agreement: scatter plots, and matrices with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.plots import BELOW, COLOURS, SYMBOLS, label, make_figure
from prunebench.leaderboard.writers.cells import plain

MOST_POINTS = 1500  # of one figure
DIVERGING = (
    (0.0, "#B2591B"),
    (0.25, "#E3B185"),
    (0.5, "#F4F4F2"),
    (0.75, "#8FB9DC"),
    (1.0, "#1F69A8"),
)
"""From orange (-1) over near white (0) to blue (1), which all eyes tell apart."""


def title_value(name: str) -> str:
    """Return a value's name with its method: ``Sp2PS, grad-cam``."""
    cam = name.partition("/")[2]
    return f"{title_of(name)}, {plain(cam)}" if cam else title_of(name)


def draw_scatter(
    rows: Sequence[Row], names: Sequence[str], least: float | None = None
) -> tuple[dict[str, Any], int]:
    """Draw accuracy against one metric under several methods, each in its own colour.

    Args:
        rows: The networks; hover text tells pruner and level.
        names: The metric's values, such as ``sp2ps/grad-cam`` and ``sp2ps/ablation-cam``.
        least: The accuracy at which to draw a line; none if None.

    Returns:
        The figure, and how many networks it leaves out because it would have too many points.
    """
    drawn = thin_out(rows, MOST_POINTS // len(names))
    texts = [label(f"{row.first.pruner} {format_level(row)}") for row in drawn]
    drawing = make_figure(
        [_points(drawn, texts, name, index) for index, name in enumerate(names)],
        "Accuracy",
        title_of(names[0]),
        xaxis={"tickformat": ".0%", "zeroline": False},
        yaxis={"zeroline": False},
        legend=BELOW,
        hovermode="closest",
        shapes=[] if least is None else [_line_at(least)],
    )
    return drawing, len(rows) - len(drawn)


def _line_at(x: float) -> dict[str, Any]:
    """Draw a dotted line from the bottom of a figure to its top."""
    ends = {"x0": round(x, 5), "x1": round(x, 5), "y0": 0, "y1": 1}
    line = {"dash": "dot", "width": 1, "color": "#808080"}
    return {"type": "line", "yref": "paper", **ends, "line": line}


def thin_out(rows: Sequence[Row], most: int) -> list[Row]:
    """Return at most so many rows, evenly chosen, in their order."""
    if len(rows) <= most:
        return list(rows)
    return [rows[index * len(rows) // most] for index in range(most)]


def _points(rows: Sequence[Row], texts: Sequence[str], name: str, index: int) -> dict[str, Any]:
    cam = name.partition("/")[2]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(cam),
        "showlegend": True,
        "x": [_round_mean(row, "accuracy") for row in rows],
        "y": [_round_mean(row, name) for row in rows],
        "text": texts,
        "marker": {
            "color": COLOURS[index % len(COLOURS)],
            "symbol": SYMBOLS[(index + index // len(COLOURS)) % len(SYMBOLS)],
            "size": 8,
            "opacity": 0.75,
        },
        "hovertemplate": (
            f"%{{text}}<br>accuracy %{{x:.2%}}<br>{label(cam)} %{{y:.3f}}<extra></extra>"
        ),
    }


def _round_mean(row: Row, name: str) -> float | None:
    mean = row.get(name).mean
    return None if mean is None else round(mean, 5)


def draw_matrix(names: Sequence[str], values: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Draw a square of coefficients in [-1, 1], each written on its cell.

    Args:
        names: What is compared with what, in words.
        values: Row by row; None where it is not defined.
    """
    shown = [label(name) for name in names]
    notes = [
        {
            "x": column,
            "y": row,
            "text": "–" if value is None else f"{value:.2f}",
            "showarrow": False,
            "font": {
                "size": 12 if len(names) <= 8 else 9,
                "color": "#ffffff" if value is not None and abs(value) > 0.75 else "#1d2129",
            },
        }
        for row, line in enumerate(values)
        for column, value in enumerate(line)
    ]
    ticks = list(range(len(names)))
    axis = {"tickvals": ticks, "ticktext": shown, "showgrid": False, "zeroline": False}
    return make_figure(
        [
            {
                "type": "heatmap",
                "z": [[None if v is None else round(v, 4) for v in line] for line in values],
                "zmin": -1,
                "zmax": 1,
                "colorscale": [list(stop) for stop in DIVERGING],
                "xgap": 2,
                "ygap": 2,
                "hoverinfo": "skip",
                "showscale": False,
            }
        ],
        "",
        "",
        xaxis={**axis, "tickangle": -40},
        yaxis={**axis, "autorange": "reversed"},
        annotations=notes,
    )
