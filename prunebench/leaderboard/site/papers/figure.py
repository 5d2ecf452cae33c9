"""Two columns of a published table as a figure, with our rows beside its own."""

from __future__ import annotations

from typing import Any

from prunebench.leaderboard.papers.cards.printed import parse_number
from prunebench.leaderboard.papers.compare import ComparedExperiment
from prunebench.leaderboard.site.papers.text import title_axis, title_row
from prunebench.leaderboard.site.plots import label, make_figure, style_series

Point = tuple[float, float, str]


def draw_columns(compared: ComparedExperiment) -> dict[str, Any] | None:
    """Draw the two columns that an experiment's card asks for; None if it asks for none."""
    plot, quantities = compared.experiment.plot, compared.experiment.quantities
    if plot is None:
        return None
    data = []
    similar = "" if compared.state == "run" else " (similar only)"
    named = (("published", _published(compared)), (f"ours{similar}", _ours(compared)))
    for index, (name, points) in enumerate(named):
        if points:
            data.append(_trace(index, name, points))
    return make_figure(data, title_axis(quantities[plot.x]), title_axis(quantities[plot.y]))


def _trace(index: int, name: str, points: list[Point]) -> dict[str, Any]:
    points = sorted(points)
    look = style_series(index)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(name),
        "x": [x for x, _, _ in points],
        "y": [y for _, y, _ in points],
        "text": [label(text) for _, _, text in points],
        "hovertemplate": "%{text}<br>%{x}, %{y}<extra></extra>",
        "marker": look["marker"],
    }


def _published(compared: ComparedExperiment) -> list[Point]:
    assert compared.experiment.plot is not None
    plot, found = compared.experiment.plot, []
    for row in compared.experiment.rows:
        x, y = row.values.get(plot.x), row.values.get(plot.y)
        if isinstance(x, str) and isinstance(y, str):
            found.append((parse_number(x), parse_number(y), row.label))
    return found


def _ours(compared: ComparedExperiment) -> list[Point]:
    """Return all our rows of the experiment; without any, those that match published rows."""
    assert compared.experiment.plot is not None
    plot = compared.experiment.plot
    pairs = [(own.row, own.get(plot.x), own.get(plot.y)) for own in compared.own]
    if not pairs:
        for beside in compared.rows:
            if beside.row is not None:
                values = {number.key: number.ours for number in beside.numbers}
                pairs.append((beside.row, values.get(plot.x), values.get(plot.y)))
    found = {
        (round(x, 4), round(y, 4), title_row(row))
        for row, x, y in pairs
        if x is not None and y is not None
    }
    return sorted(found)
