"""Figures of the questions: one order's values over another's, and drops over drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10
from typing import Any

from prunebench.leaderboard.board.orders import Height
from prunebench.leaderboard.questions.comparison import OrderComparison
from prunebench.leaderboard.questions.training import LEAST_DROP, TrainingDrop
from prunebench.leaderboard.site.names import shorten_names
from prunebench.leaderboard.site.plots import (
    BELOW,
    COLOURS,
    SYMBOLS,
    DrawnFigure,
    label,
    make_figure,
)
from prunebench.leaderboard.site.pruners.lines import name_pruned_count
from prunebench.leaderboard.site.questions.text import (
    format_coefficient,
    format_count,
    name_sections,
    shorten,
)
from prunebench.leaderboard.writers import cells

MOST_POINTS = 400  # of one figure
MOST_NAMED = 6  # pruners named below a figure
MOST_LABELLED = 12  # points of which each has its name beside it
SHORT = 30  # characters of a name within a figure
SHARES = (1.0, 0.5, 0.1)
TICKS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]


def draw_two_orders(shown: OrderComparison, titles: tuple[str, str], total: int) -> DrawnFigure:
    """Draw the values of one order over those of another, with their intervals.

    Args:
        shown: The comparison.
        titles: What the orders' values are called.
        total: Of how many comparisons it is the least agreeing one.
    """
    short = shorten_names(shown.first.heights)
    moved = set(shown.swaps.moved)
    still = [pruner for pruner in shown.first.heights if pruner not in moved]
    groups = [("in no reversed pair", still, 0), ("in a reversed pair", sorted(moved), 1)]
    traces = [
        _points(shown, pruners[:MOST_POINTS], name, index)
        for name, pruners, index in groups
        if pruners
    ]
    where = f"{name_sections(shown.sections)}, {shown.axis}"
    under = f", {shorten(shown.cam)}" if shown.cam else ""
    drawing = make_figure(
        traces,
        *titles,
        legend=BELOW,
        hovermode="closest",
        xaxis={"zeroline": False},
        yaxis={"zeroline": False},
    )
    rank = "The only comparison" if total == 1 else f"The least agreeing of {total} comparisons"
    left = sum(max(0, len(pruners) - MOST_POINTS) for _, pruners, _ in groups)
    caption = (
        f"{rank}: {where}{under}, {100 * shown.at:.1f}% of {name_pruned_count(shown.axis)} pruned. "
        f"Higher is better; bars are 95% confidence intervals{_name_bars(shown)}. Where orders "
        "agree, points rise to the right."
    )
    if moved:
        names = [short[pruner] for pruner in shown.swaps.moved[:MOST_NAMED]]
        more = f" and {len(moved) - len(names)} more" if len(moved) > len(names) else ""
        caption += f" In reversed pairs: {'; '.join(names)}{more}."
    if left:
        caption += f" {left} of {len(shown.first.heights)} pruners are not drawn."
    return DrawnFigure("", drawing, _describe_points(shown, titles, short), caption)


def _name_bars(shown: OrderComparison) -> str:
    """Say what the intervals tell of: other seeds, or only other images."""
    heights = [height for order in (shown.first, shown.second) for height in order.heights.values()]
    over_seeds = sum(height.bounded for height in heights)
    if over_seeds == len(heights):
        return " over seeds"
    return ", some of them of images only" if over_seeds else ", of images only"


def _points(
    shown: OrderComparison, pruners: Sequence[str], name: str, index: int
) -> dict[str, Any]:
    few = len(shown.first.heights) <= MOST_LABELLED
    named = pruners if few else (shown.first.leader, shown.second.leader)
    over, up = ([order.heights[p] for p in pruners] for order in (shown.first, shown.second))
    values = [height.value for height in shown.first.heights.values()]
    short = shorten_names(shown.first.heights, SHORT)
    middle = (max(values) + min(values)) / 2  # names are written towards it, to stay within
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "showlegend": True,
        "x": [round(height.value, 5) for height in over],
        "y": [round(height.value, 5) for height in up],
        "error_x": _bars(over),
        "error_y": _bars(up),
        "text": [label(short[pruner]) if pruner in named else "" for pruner in pruners],
        "textposition": [f"top {'right' if each.value < middle else 'left'}" for each in over],
        "textfont": {"size": 11},
        "hovertext": [label(pruner) for pruner in pruners],
        "hovertemplate": "%{hovertext}<br>%{x:.3f}, %{y:.3f}<extra></extra>",
        "marker": {"color": COLOURS[index], "symbol": SYMBOLS[index], "size": 8},
        "cliponaxis": False,
    }


def _bars(heights: Sequence[Height]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(each.high - each.value, 5) for each in heights],
        "arrayminus": [round(each.value - each.low, 5) for each in heights],
        "thickness": 1,
        "width": 0,
    }


def _describe_points(
    shown: OrderComparison, titles: tuple[str, str], short: Mapping[str, str]
) -> str:
    tau = "not defined" if shown.tau is None else format_coefficient(shown.tau)
    under = f", both under {shorten(shown.cam)}" if shown.cam else ""
    pruners = format_count(len(shown.first.heights), "pruner")
    parts = [
        f"{titles[1]} over {titles[0]} of {pruners}{under}",
        f"Kendall's τ-b {tau}",
        *(
            f"best by {title} {short[order.leader]} ({order.heights[order.leader].value:.3f})"
            for title, order in zip(titles, (shown.first, shown.second), strict=True)
        ),
        f"{shown.swaps.reversed} of {format_count(shown.swaps.separated, 'pair')} "
        "separated by both reversed",
    ]
    return f"{'; '.join(parts)}."


def draw_drops(parts: Sequence[TrainingDrop]) -> DrawnFigure:
    """Draw the control's drop over the median compressed network's, by method and axis.

    Args:
        parts: The lines that the answer rests on; at least one.
    """
    drawn = parts[:: ceil(len(parts) / MOST_POINTS)]
    axes = sorted({part.axis for part in drawn})
    least = max(LEAST_DROP, min(min(part.drop, part.every.drop) for part in drawn) / 1.5)
    ends = [least, 1.0]
    rays: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{share:.0%}",
            "x": [end / share for end in ends],
            "y": ends,
            "line": {"color": COLOURS[6], "dash": dash, "width": 1.5},
            "hoverinfo": "skip",
        }
        for share, dash in zip(SHARES, ("solid", "dash", "dot"), strict=True)
    ]
    points = [
        _drops([p for p in drawn if p.axis == axis], axis, index) for index, axis in enumerate(axes)
    ]
    scale = {"type": "log", "range": [log10(least), 0], "tickvals": TICKS}
    drawing = make_figure(
        [*rays, *points],
        "median drop of compressed networks",
        "drop of the control",
        xaxis=scale,
        yaxis=scale,
        legend=BELOW,
        hovermode="closest",
    )
    told = [f"{axis} {sum(p.axis == axis for p in parts)}" for axis in axes]
    caption = (
        "On the lines training alone is 100%, 50% or 10% of the median drop. Both axes are "
        f"logarithmic; drops below {LEAST_DROP} are drawn there."
    )
    if len(drawn) < len(parts):
        caption += f" {len(parts) - len(drawn)} of {len(parts)} points are left out, evenly."
    alt = (
        f"Drop of the none control over the median drop of compressed networks, {len(parts)} "
        f"points by axis: {', '.join(told)}; the numbers are in the tables below."
    )
    return DrawnFigure("", drawing, alt, caption)


def _drops(parts: Sequence[TrainingDrop], axis: str, index: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(axis),
        "showlegend": True,
        "x": [round(max(part.every.drop, LEAST_DROP), 5) for part in parts],
        "y": [round(max(part.drop, LEAST_DROP), 5) for part in parts],
        "text": [label(f"{cells.make_title(p.section.first)}, {shorten(p.cam)}") for p in parts],
        "hovertemplate": "%{text}<br>control %{y:.3f}, compressed %{x:.3f}<extra></extra>",
        "marker": {
            "color": COLOURS[index],
            "symbol": SYMBOLS[index],
            "size": 9,
            "opacity": 0.8,
        },
    }
