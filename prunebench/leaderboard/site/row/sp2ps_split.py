"""Sp2PS in parts on a row's page: kept and flipped predictions, and class by class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prunebench.leaderboard.board.rows import IMAGES_ONLY, Estimate, Row, is_over_seeds
from prunebench.leaderboard.site.plots import COLOURS, label, make_figure
from prunebench.leaderboard.site.row.curves import RowFigure
from prunebench.leaderboard.writers.cells import plain

MOST_BARS = 60
_NAME = re.compile(r"sp2ps_(?:(kept|flipped)|class_(\d+))/(.+)")


@dataclass(frozen=True)
class SubsetScore:
    """Sp2PS of some of the images.

    Attributes:
        place: Its place among the bars.
        name: Which images.
        value: Their Sp2PS.
    """

    place: int
    name: str
    value: Estimate


def draw_subsets(row: Row) -> Iterator[RowFigure]:
    """Draw a figure with its table for each explanation method."""
    found: dict[str, list[SubsetScore]] = {}
    for name, value in row.estimates.items():
        match = _NAME.fullmatch(name) if name.startswith("sp2ps_") else None
        if match and value.mean is not None:
            found.setdefault(match[3], []).append(_make_subset(row, match[1], match[2], value))
    for cam in sorted(found):
        yield _figure(cam, sorted(found[cam], key=lambda part: part.place))


def _make_subset(
    row: Row, prediction: str | None, number: str | None, value: Estimate
) -> SubsetScore:
    if number is None:
        return SubsetScore(-2 if prediction == "kept" else -1, f"prediction {prediction}", value)
    place, classes = int(number), row.first.classes
    return SubsetScore(
        place, plain(classes[place]) if place < len(classes) else f"class {place}", value
    )


def _figure(cam: str, found: Sequence[SubsetScore]) -> RowFigure:
    shown = found[:MOST_BARS]
    lowest = min(found, key=lambda part: part.value.mean or 0.0)
    over_seeds = all(is_over_seeds(part.value) for part in found if part.value.interval)
    interval = "95% confidence interval" + ("" if over_seeds else f", {IMAGES_ONLY}")
    return {
        "title": f"Under {plain(cam)}",
        "alt": f"Sp2PS under {plain(cam)} of {len(found)} parts of the images; lowest: "
        f"{lowest.name} with {lowest.value.mean:.3f}. The table below has all of them.",
        "note": f"The first {MOST_BARS} parts are drawn." if len(found) > MOST_BARS else None,
        "figure": make_figure(
            [_bars(shown)],
            "",
            "Sp2PS",
            yaxis={"range": [0, 1.02]},
            # By place, since two classes may have one name.
            xaxis={
                "tickvals": list(range(len(shown))),
                "ticktext": [label(part.name) for part in shown],
            },
        ),
        "table": {
            "head": ["Images", "Sp2PS", interval],
            "rows": [[part.name, f"{part.value.mean:.3f}", _bounds(part.value)] for part in found],
        },
    }


def _bars(shown: Sequence[SubsetScore]) -> dict[str, Any]:
    values = [(part.value.mean or 0.0, part.value.low, part.value.high) for part in shown]
    return {
        "type": "bar",
        "x": list(range(len(shown))),
        "hovertext": [label(part.name) for part in shown],
        "hovertemplate": "%{hovertext}<br>%{y:.3f}<extra></extra>",
        "y": [mean for mean, _, _ in values],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [0 if high is None else high - mean for mean, _, high in values],
            "arrayminus": [0 if low is None else mean - low for mean, low, _ in values],
        },
        "marker": {"color": [COLOURS[1] if part.place < 0 else COLOURS[0] for part in shown]},
    }


def _bounds(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return ""
    return f"[{value.low:.3f}, {value.high:.3f}]"
