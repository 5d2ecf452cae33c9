"""Figures for plotly.js: what all have in common, and text that cannot be markup."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from prunebench.leaderboard.writers.cells import plain

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
"""Okabe and Ito's, which all eyes tell apart; yellow and black are left out for their contrast."""

BELOW = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"}
"""A legend below the figure, clear of the axis's title."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")


@dataclass(frozen=True)
class DrawnFigure:
    """A figure with what is said of it.

    Attributes:
        title: What it shows.
        figure: For the macro ``late``.
        alt: What it shows, in numbers.
        caption: How to read it.
    """

    title: str
    figure: dict[str, Any]
    alt: str
    caption: str


def label(text: str) -> str:
    """Escape a text for a figure: plotly.js would read some HTML in labels."""
    return html.escape(plain(text))


def style_series(index: int) -> dict[str, Any]:
    """Return the look of a figure's n-th series: a colour and, where these repeat, a symbol."""
    colour = COLOURS[index % len(COLOURS)]
    symbol = SYMBOLS[(index + index // len(COLOURS)) % len(SYMBOLS)]
    return {"line": {"color": colour}, "marker": {"color": colour, "symbol": symbol, "size": 8}}


def make_figure(data: list[dict[str, Any]], x: str, y: str, **layout: Any) -> dict[str, Any]:
    """Make a figure for the ``plot`` macro.

    Args:
        data: Traces of plotly.js, their texts made literal by ``label``.
        x: Title of the horizontal axis.
        y: Title of the vertical axis.
        **layout: More of plotly.js's layout; colours of paper and text are the page's.
    """
    axes = {"xaxis": {"title": {"text": label(x)}}, "yaxis": {"title": {"text": label(y)}}}
    for name, axis in axes.items():
        axis.update(layout.pop(name, {}))
    return {"data": data, "layout": {**axes, **layout}}


def clean_words(text: str) -> str:
    """Return text of any length on one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
