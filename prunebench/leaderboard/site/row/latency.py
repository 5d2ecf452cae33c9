"""Latency on a row's page: the times of single passes, or medians where a record lacks them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.speed import list_timings
from prunebench.leaderboard.site.plots import COLOURS, label, make_figure
from prunebench.leaderboard.site.row.curves import RowFigure
from prunebench.leaderboard.writers.cells import plain

MEDIANS = (
    "This record keeps no single times: bars are medians, their lines half the interquartile "
    "range to either side; the baseline's is the median divided by the measured ratio."
)


def draw_latency(row: Row) -> Iterator[RowFigure]:
    """Draw the times of both networks, for each device and batch."""
    times = row.first.times
    if not times:
        yield from _medians(row)
    seed = f", seed {row.first.seed}" if len(row.records) > 1 else ""
    for place, both in times.items():
        boxes = [
            _box("baseline", both.baseline, COLOURS[0]),
            _box("this network", both.network, COLOURS[1]),
        ]
        told = ", ".join(f"{box['name']} {median(box['x']):.3g} ms" for box in boxes if box["x"])
        yield {
            "title": f"{plain(place.replace('_', ' '))}{seed}",
            "alt": f"Times of single forward passes, {plain(place)}{seed}; medians: {told}.",
            "figure": make_figure(
                boxes,
                "milliseconds",
                "",
                showlegend=False,
                xaxis={"rangemode": "tozero"},
                yaxis={"autorange": "reversed"},
            ),
        }


def _box(name: str, values: tuple[float, ...], colour: str) -> dict[str, Any]:
    return {
        "type": "box",
        "name": name,
        "x": list(values),
        "boxpoints": "all",
        "jitter": 0.5,
        "pointpos": 0,
        "marker": {"color": colour, "size": 4, "opacity": 0.6},
        "line": {"color": colour},
        "fillcolor": "rgba(0,0,0,0)",
    }


def _medians(row: Row) -> Iterator[RowFigure]:
    """Draw the medians of all devices and batches in one figure."""
    known = [(each, row.get(f"{each.name}_ms").mean) for each in list_timings(row)]
    found = [(each, time) for each, time in known if time]
    if not found:
        return
    spreads = [(row.get(f"{each.name}_iqr_ms").mean or 0.0) / 2 for each, _ in found]
    common = {"type": "bar", "orientation": "h", "y": [label(each.place) for each, _ in found]}
    bars = [
        {
            **common,
            "name": "baseline",
            "x": [time / each.ratio for each, time in found],
            "marker": {"color": COLOURS[0]},
        },
        {
            **common,
            "name": "this network",
            "x": [time for _, time in found],
            "marker": {"color": COLOURS[1]},
            "error_x": {"type": "data", "array": spreads},
        },
    ]
    told = "; ".join(
        f"{each.place}: {time:.3g} ms, ×{each.ratio:.2f} of the baseline" for each, time in found
    )
    yield {
        "title": "Medians",
        "alt": f"Median times: {told}.",
        "note": MEDIANS,
        "figure": make_figure(bars, "milliseconds", "", yaxis={"autorange": "reversed"}),
    }
