"""Two values over the levels of one method: a correlation that a work publishes, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.site.correlations.figures import title_value
from prunebench.leaderboard.site.plots import (
    BELOW,
    COLOURS,
    DrawnFigure,
    clean_words,
    label,
    make_figure,
    style_series,
)
from prunebench.leaderboard.site.pruners.lines import name_pruned_count

CAPTION = (
    "Lines are means over the seeds, shades reach from the lowest seed to the highest; the first "
    "level is the network without compression, trained as long as the others where that was run. "
)
SCALES = {
    "log": "Logarithmic: levels that each take the same share of what is left stand equally apart.",
    "linear": "The same with equal shares equally wide: most levels are crowded near 0.",
}


def draw_over_levels(rows: Sequence[Row], names: tuple[str, str]) -> list[DrawnFigure]:
    """Draw two values against what is left of the network, each on an axis of its own.

    Args:
        rows: All levels of one method, the network without compression first.
        names: The values: on the left axis and on the right.

    Returns:
        The figure with a logarithmic and with a linear horizontal axis.
    """
    left, right = (title_value(name) for name in names)
    what = f"{name_pruned_count(rows[-1].first.axis)} left"
    traces = [trace for side, name in enumerate(names) for trace in _traces(side, name, rows)]
    alt = clean_words(
        f"{_describe_line(left, names[0], rows)}; {_describe_line(right, names[1], rows)}."
    )
    return [
        DrawnFigure(
            f"{left} and {right}",
            make_figure(
                traces,
                what,
                left,
                xaxis={"type": scale, "tickformat": "~%", "autorange": "reversed"},
                yaxis={**_axis(names[0]), "color": COLOURS[0]},
                yaxis2={
                    **_axis(names[1]),
                    "color": COLOURS[1],
                    "title": {"text": label(right)},
                    "overlaying": "y",
                    "side": "right",
                    "showgrid": False,
                    "tickmode": "auto",
                    "nticks": 6,
                },
                legend=BELOW,
                hovermode="closest",
            ),
            f"Over {what}, {scale} axis: {alt}",
            CAPTION + note,
        )
        for scale, note in SCALES.items()
    ]


def _axis(name: str) -> dict[str, Any]:
    shown = ".0%" if name == "accuracy" else ".2f"
    return {"rangemode": "tozero", "zeroline": False, "tickformat": shown}


def _traces(side: int, name: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Draw the mean of a value as a line, above the range of its seeds as a shade."""
    known = [row for row in rows if row.get(name).mean is not None]
    x = [_left(row) for row in known]
    axis = {"x": x, "yaxis": "y2" if side else "y"}
    percent = ".2%" if name == "accuracy" else ".3f"
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": label(title_value(name)),
        "y": [_rounded(row.get(name).mean) for row in known],
        "text": [label(format_level(row)) for row in known],
        "hovertemplate": f"%{{text}}<br>%{{x:.2%}} left: %{{y:{percent}}}<extra></extra>",
    }
    ends = [_range(row, name) for row in known]
    shade = {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "y": [low for low, _ in ends] + [high for _, high in reversed(ends)],
        "line": {"width": 0},
        "fillcolor": f"{COLOURS[side]}40",  # the last two digits are its opacity
        "hoverinfo": "skip",
        "showlegend": False,
    }
    drawn = axis | line | style_series(side)
    if all(len(row.records) == 1 for row in known):
        return [drawn]
    return [axis | {"x": x + x[::-1]} | shade, drawn]


def _range(row: Row, name: str) -> tuple[float, float]:
    """Return a value's lowest and highest seed."""
    each = [_rounded(record.mean(name)) for record in row.records]
    return min(each), max(each)


def _rounded(value: float | None) -> float:
    return round(value or 0.0, 5)


def _left(row: Row) -> float:
    return round(1 - row.pruned, 6)


def _describe_line(title: str, name: str, rows: Sequence[Row]) -> str:
    """Describe a line in words: where it starts, its highest point, and where it ends."""
    known = [(mean, row) for row in rows if (mean := row.get(name).mean) is not None]
    if not known:
        return f"{title} has no value"
    (first, _), (last, end) = known[0], known[-1]
    highest, at = max(known, key=lambda pair: pair[0])
    return (
        f"{title} is {first:.3f} without compression, at most {highest:.3f} "
        f"(with {_left(at):.2%} left) and {last:.3f} with {_left(end):.2%} left"
    )
