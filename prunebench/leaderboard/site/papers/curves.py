"""A work's figure of curves drawn again: values over the levels of methods, with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunebench.leaderboard.board.roles import list_shown
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.leaderboard.papers.cards.figures import Curves
from prunebench.leaderboard.papers.cards.work import PublishedExperiment, Quantity
from prunebench.leaderboard.papers.numbers import Number, compare_number, find_scale
from prunebench.leaderboard.papers.regenerated import RegeneratedFigure, RegeneratedFigures
from prunebench.leaderboard.site.links import link_row
from prunebench.leaderboard.site.papers.points import CurvePoint, FigureCurve, list_curves
from prunebench.leaderboard.site.papers.text import (
    explain_missing_seeds,
    format_measured,
    title_axis,
    title_row,
)
from prunebench.leaderboard.site.plots import BELOW, label, make_figure
from prunebench.leaderboard.site.pruners.controls import DrawnControl, draw_control
from prunebench.leaderboard.site.pruners.lines import style_line
from prunebench.leaderboard.writers.cells import plain

LONGEST = 44  # characters of a curve's name
ROOM = 0.03  # of an axis, beyond its ends


@dataclass(frozen=True)
class NetworkNumbers:
    """One network's numbers, as text."""

    label: str
    link: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DrawnCurves:
    """A figure with its numbers.

    Attributes:
        title: Which figure of the work it is.
        figure: For plotly.js.
        alt: What it shows, in numbers.
        caption: How to read it.
        headings: Of the table of its numbers.
        lines: The table, a network each: values with their intervals.
    """

    title: str
    figure: dict[str, Any]
    alt: str
    caption: str
    headings: tuple[str, ...]
    lines: tuple[NetworkNumbers, ...]


def draw_curves(
    experiment: PublishedExperiment, found: RegeneratedFigures
) -> Iterator[DrawnCurves]:
    """Draw the figures of curves for which one protocol has rows."""
    for drawn in found.figures:
        if isinstance(drawn.asked, Curves):
            yield _draw(experiment, drawn.asked, drawn, found)


def _draw(
    experiment: PublishedExperiment,
    asked: Curves,
    drawn: RegeneratedFigure,
    found: RegeneratedFigures,
) -> DrawnCurves:
    quantities = experiment.quantities
    curves = list(list_curves(experiment, asked, drawn, found))
    points = [point for curve in curves for point in curve.points]
    across, up = quantities[asked.x], quantities[asked.y[0]]
    several = len(asked.y) > 1
    controls = list(_draw_controls(asked, found, quantities, [point.x for point in points]))
    traces = [each.trace for each in controls]
    plot = make_figure(
        [*(_trace(curve, asked, across, up) for curve in curves), *traces],
        title_axis(across),
        asked.axis or ", ".join(title_axis(quantities[key]) for key in asked.y),
        xaxis=_make_axis(across, [point.x for point in points], to_end=False),
        yaxis=_make_axis(
            up,
            [*(point.value for point in points), *(y for trace in traces for y in trace["y"])],
            to_end=True,
        ),
        shapes=[each.band for each in controls if each.band],
        legend=BELOW,
        hovermode="closest",
    )
    lines = [_describe_curve(curve, quantities[curve.key], across) for curve in curves]
    said = "; ".join([*lines, *(each.words for each in controls)])
    what = " and ".join(quantities[key].title for key in asked.y) if several else up.title
    return DrawnCurves(
        f"{asked.source[0].upper()}{asked.source[1:]}: {asked.title}",
        plot,
        f"{asked.title}, {what} over {across.title}: {said}. All numbers are in the table below.",
        _caption(drawn, found, curves, quantities),
        tuple(title_axis(quantities[key]) for key in (asked.x, *asked.y)),
        tuple(_list_numbers(experiment, asked, curves)),
    )


def _draw_controls(
    asked: Curves,
    found: RegeneratedFigures,
    quantities: Mapping[str, Quantity],
    places: Sequence[float],
) -> Iterator[DrawnControl]:
    """Draw what the scale means, but for the control from which all curves start."""
    section = found.place.section
    for key in asked.y:
        reading, of = quantities[key].reading, quantities[key]
        if reading is None or reading.of_baseline:
            continue
        for row in list_shown(section.rows):
            value = compare_number(key, of, None, row, section.baseline)
            at = compare_number(asked.x, quantities[asked.x], None, row, section.baseline).ours
            if row is not found.start and value.ours is not None:
                told = Estimate(value.ours, value.low, value.high)
                under = f", {of.title}" if len(asked.y) > 1 else ""
                yield draw_control(row, told, at or 0.0, (min(places), max(places)), under)


def _trace(curve: FigureCurve, asked: Curves, across: Quantity, up: Quantity) -> dict[str, Any]:
    """Draw a curve with its intervals; a single level is a point, not a line."""
    several = sum(point.row.first.role == "compressed" for point in curve.points) > 1
    style = style_line(curve.method, asked.y.index(curve.key), len(asked.y))
    unit, digits = ("%", 2) if up.unit == "percent" else ("", 3)
    place = ":.1f}%" if across.unit == "percent" else "}"
    short = curve.name if len(curve.name) <= LONGEST else curve.name[: LONGEST - 1] + "…"
    return {
        "type": "scatter",
        "mode": "lines+markers" if several else "markers",
        "name": label(short),
        "x": [round(point.x, 4) for point in curve.points],
        "y": [round(point.value, 5) for point in curve.points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [round(point.ends[1] - point.value, 5) for point in curve.points],
            "arrayminus": [round(point.value - point.ends[0], 5) for point in curve.points],
            "thickness": 1,
            "width": 3,
            "color": f"{style['line']['color']}A0",  # the last two digits are its opacity
        },
        "text": [label(f"{title_row(point.row)}: {curve.name}") for point in curve.points],
        "hovertemplate": f"%{{text}}<br>%{{x{place}: %{{y:.{digits}f}}{unit}<extra></extra>",
        **style,
    }


def _make_axis(quantity: Quantity, values: Sequence[float], *, to_end: bool) -> dict[str, Any]:
    """Return an axis from 0 to the highest value, or to all there can be; free otherwise."""
    whole = find_scale(quantity)
    if not values or min(values) < 0 or max(values) > whole:
        return {"zeroline": False}
    end = whole if to_end else max(values)
    return {"range": [-ROOM * end, end * (1 + ROOM)], "zeroline": False}


def _describe_curve(curve: FigureCurve, quantity: Quantity, across: Quantity) -> str:
    """Describe a curve in words: where it starts, its lowest point, and where it ends."""

    def at(point: CurvePoint) -> str:
        return f"{_number(quantity, point.value)} at {_number(across, point.x)}"

    first, last = curve.points[0], curve.points[-1]
    lowest = min(curve.points, key=lambda point: point.value)
    parts = [at(first)]
    if lowest not in (first, last):
        parts.append(f"lowest {at(lowest)}")
    if last is not first:
        parts.append(at(last))
    return f"{curve.name} {', '.join(parts)}"


def _number(quantity: Quantity, value: float | None) -> str:
    return format_measured(quantity, value, 1 if quantity.unit == "percent" else 3)


def _caption(
    drawn: RegeneratedFigure,
    found: RegeneratedFigures,
    curves: Sequence[FigureCurve],
    quantities: dict[str, Quantity],
) -> str:
    parts = []
    rows = [row for method in drawn.methods for row in method.rows]
    if found.start is not None:
        parts.append(f"The start is {_name_start(found.start, rows)}.")
    if not drawn.has_levels:
        parts.append("A single level was measured: points, no curve.")
    parts += explain_missing_seeds(rows)
    kinds = {kind for curve in curves for kind in _list_interval_kinds(curve, quantities)}
    if kinds:
        parts.append(f"Bars are 95% confidence intervals ({' / '.join(sorted(kinds))}).")
    return " ".join(parts)


def _name_start(start: Row, rows: Sequence[Row]) -> str:
    if start.first.role != "control":
        return "the baseline"
    as_long = all(row.images_seen == start.images_seen for row in rows)
    return f"the none control{', trained as long as the others' if as_long else ''}"


def _list_interval_kinds(curve: FigureCurve, quantities: dict[str, Quantity]) -> Iterator[str]:
    reading = quantities[curve.key].reading
    for point in curve.points:
        kind = point.row.get(reading.name).interval if reading else None
        if kind and point.y.low is not None:
            yield plain(kind)


def _list_numbers(
    experiment: PublishedExperiment, asked: Curves, curves: Sequence[FigureCurve]
) -> Iterator[NetworkNumbers]:
    """Yield the numbers of the figure, each network once."""
    networks: dict[str, tuple[Row, float, dict[str, Number]]] = {}
    for curve in curves:
        for point in curve.points:
            named = networks.setdefault(point.row.first.id, (point.row, point.x, {}))
            named[2][curve.key] = point.y
    for row, x, values in networks.values():
        cells = [(_number(experiment.quantities[asked.x], x), "")]
        for key in asked.y:
            quantity, number = experiment.quantities[key], values.get(key)
            bounds = ""
            if number and number.low is not None and number.high is not None:
                ends = (_number(quantity, end) for end in (number.low, number.high))
                bounds = f"[{', '.join(ends)}]"
            cells.append((_number(quantity, number.ours if number else None), bounds))
        yield NetworkNumbers(title_row(row), link_row(row), tuple(cells))
