"""Why is it not faster? What time should have been if it followed MACs, and why it did not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.board.speed import LEAST_GAP, ExplainedTiming, explain_timings
from prunebench.leaderboard.site.links import link_row, name_section
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.plots import BELOW, COLOURS, SYMBOLS, label, make_figure
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

MOST_POINTS = 1500  # of one axis in one figure
MOST_ROWS = 300  # lines of one table
AXES = ("dense", "masked", "quantised", "none")
FOLLOWS = "time follows the MACs, or is better"

Timed = tuple[Row, ExplainedTiming]


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``speed.html``, and a page with all rows of each group that was timed."""
    groups, every = [], []
    for section in sections:
        timed = [(row, found) for row in section.rows for found in explain_timings(row)]
        if not timed:
            continue
        every += timed
        group = _group(section, timed)
        groups.append(group)
        render(site, group["page"], "speed_group.html", group=group)
    render(
        site,
        "speed.html",
        "speed.html",
        groups=groups,
        causes=_causes(every),
        figures=_figures(every),
        least=LEAST_GAP,
        untimed=len(sections) - len(groups),
    )


def _group(section: Section, timed: Sequence[Timed]) -> dict[str, Any]:
    worst = sorted(timed, key=lambda pair: (-pair[1].timing.gap, pair[0].first.id))
    return {
        "title": cells.make_title(section.first),
        "protocol": section.first.protocol[:8],
        "page": f"speed/{name_section(section)}.html",
        "words": _describe_ratios(timed),
        "causes": _causes(timed),
        "figures": _figures(timed),
        "lines": [_line(row, found) for row, found in worst[:MOST_ROWS]],
        "left": len(worst) - MOST_ROWS,
    }


def _describe_ratios(timed: Sequence[Timed]) -> str:
    """Say how much of the MACs' reduction becomes time for dense networks, by timing."""
    parts = []
    for place, dense in _group_by_place([pair for pair in timed if pair[0].first.axis == "dense"]):
        macs = median(found.timing.macs for _, found in dense)
        time = median(found.timing.ratio for _, found in dense)
        parts.append(f"{place}: median MACs ×{macs:.2f}, time ×{time:.2f}")
    if parts:
        return "Dense networks: " + "; ".join(parts) + "."
    axes = sorted({row.first.axis for row, _ in timed})
    return f"No dense network was timed here, only {' and '.join(axes)} ones."


def _group_by_place(timed: Iterable[Timed]) -> list[tuple[str, list[Timed]]]:
    found: dict[tuple[bool, str, int], list[Timed]] = {}
    for pair in timed:
        timing = pair[1].timing
        found.setdefault((timing.deployed, timing.device, timing.batch), []).append(pair)
    return [(found[key][0][1].timing.place, found[key]) for key in sorted(found)]


def _causes(timed: Iterable[Timed]) -> list[dict[str, Any]]:
    """Count how often each cause is found, with the typical ratios."""
    found: dict[str, list[ExplainedTiming]] = {}
    for _, each in timed:
        found.setdefault(each.cause or FOLLOWS, []).append(each)
    return [
        {
            "cause": cause,
            "count": len(same),
            "macs": f"×{median(each.timing.macs for each in same):.2f}",
            "time": f"×{median(each.timing.ratio for each in same):.2f}",
        }
        for cause, same in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _line(row: Row, found: ExplainedTiming) -> dict[str, Any]:
    timing = found.timing
    return {
        "link": link_row(row),
        "pruner": plain(row.first.pruner),
        "level": format_level(row),
        "axis": row.first.axis,
        "place": timing.place,
        "macs": f"×{timing.macs:.2f}",
        "time": f"×{timing.ratio:.2f}",
        "gap": f"{timing.gap:+.2f}".replace("-", "−"),
        "cause": found.cause or FOLLOWS,
        "evidence": found.evidence,
    }


def _figures(timed: Sequence[Timed]) -> list[dict[str, Any]]:
    return [_figure(place, same) for place, same in _group_by_place(timed)]


def _figure(place: str, timed: Sequence[Timed]) -> dict[str, Any]:
    """Draw MACs against time of one timing, with the diagonal on which time follows MACs."""
    by_axis = {
        axis: same for axis in AXES if (same := [p for p in timed if p[0].first.axis == axis])
    }
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "time follows MACs",
            "x": [0, 1],
            "y": [0, 1],
            "line": {"color": COLOURS[6], "dash": "dash", "width": 1.5},
            "hoverinfo": "skip",
        }
    ]
    left, told = 0, []
    for axis, same in by_axis.items():
        drawn = _thin_out(same)
        left += len(same) - len(drawn)
        traces.append(_points(axis, drawn))
        macs = median(found.timing.macs for _, found in same)
        time = median(found.timing.ratio for _, found in same)
        told.append(f"{len(same)} {axis} rows with median MACs ×{macs:.2f} and time ×{time:.2f}")
    highest = max(found.timing.ratio for _, found in timed)
    drawing = make_figure(
        traces,
        "MACs, ratio to the baseline",
        "time, ratio to the baseline",
        xaxis={"range": [0, 1.08], "zeroline": False},
        yaxis={"range": [0, max(1.15, min(highest * 1.08, 4))], "zeroline": False},
        legend=BELOW,
        hovermode="closest",
    )
    caption = "Above the dashed line, less is gained than the MACs tell."
    beyond = sum(found.timing.ratio > 4 for _, found in timed)
    if beyond:
        caption += f" {beyond} points above ×4 are not in view."
    if left:
        caption += f" {left} of {len(timed)} points are left out, evenly."
    return {
        "title": place,
        "figure": drawing,
        "alt": f"Time against MACs, {place}: {'; '.join(told)}.",
        "caption": caption,
    }


def _thin_out(timed: Sequence[Timed]) -> list[Timed]:
    if len(timed) <= MOST_POINTS:
        return list(timed)
    return [timed[index * len(timed) // MOST_POINTS] for index in range(MOST_POINTS)]


def _points(axis: str, timed: Sequence[Timed]) -> dict[str, Any]:
    index = AXES.index(axis)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": axis if axis != "none" else "on no axis",
        "x": [round(found.timing.macs, 4) for _, found in timed],
        "y": [round(found.timing.ratio, 4) for _, found in timed],
        "text": [label(f"{row.first.pruner} {format_level(row)}") for row, _ in timed],
        "marker": {
            "color": COLOURS[index],
            "symbol": SYMBOLS[index],
            "size": 8,
            "opacity": 0.75,
        },
        "hovertemplate": "%{text}<br>MACs ×%{x:.2f}, time ×%{y:.2f}<extra></extra>",
    }
