"""Figures of one pruner: what is kept against what is pruned, beside the other pruners."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.accuracy_bar import FREE
from prunebench.leaderboard.board.rescaling import list_preservation_values
from prunebench.leaderboard.board.score import group_by_pruner
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.plots import (
    BELOW,
    COLOURS,
    DrawnFigure,
    clean_words,
    label,
    make_figure,
)
from prunebench.leaderboard.site.pruners.controls import draw_controls
from prunebench.leaderboard.site.pruners.lines import (
    MOST_OTHERS,
    Levels,
    describe_line,
    draw_line,
    draw_other_lines,
    name_pruned_count,
    style_line,
)
from prunebench.leaderboard.writers.cells import plain
from prunebench.trust import THRESHOLDS

MOST_LINES = 12  # of one figure


def draw_figures(section: Section, axis: str, levels: Levels) -> list[DrawnFigure]:
    """Draw accuracy and every preservation metric against the compression really reached.

    Args:
        section: Where the pruner was measured.
        axis: The axis of its rows.
        levels: Its rows.
    """
    rows = [row for each in levels.values() for row in each]
    names = sorted({name for row in rows for name in list_preservation_values(row)})
    measures = {re.split(r"/", name)[0]: None for name in names}
    order = sorted(measures, key=lambda measure: (not measure.startswith("sp2ps"), measure))
    others = _list_others(section, axis, levels)
    furthest = max(row.pruned for row in rows)
    span = [
        min(-0.03, *(row.pruned - 0.03 for row in rows)),
        min(max(furthest + 0.05, 0.3), 1.02),
    ]
    drawn = [_draw(section, axis, levels, others, ["accuracy"], span)]
    for measure in order:
        same = [name for name in names if name.partition("/")[0] == measure]
        drawn.append(_draw(section, axis, levels, others, same, span))
    return drawn


def _list_others(section: Section, axis: str, own: Levels) -> Levels:
    """Return the other pruners of the axis: those with a rank first."""
    ranking = next((found for name, found in section.rankings.items() if name == axis), None)
    places = {place.pruner: index for index, place in enumerate(ranking.places)} if ranking else {}
    found = dict(group_by_pruner(section.rows, axis))
    order = sorted(found.keys() - own.keys(), key=lambda pruner: (places.get(pruner, 0), pruner))
    return {pruner: found[pruner] for pruner in order}


def _draw(
    section: Section,
    axis: str,
    levels: Levels,
    others: Levels,
    names: Sequence[str],
    span: Sequence[float],
) -> DrawnFigure:
    control = section.control
    pairs = [(pruner, name) for pruner in levels for name in names]
    shown = pairs[:MOST_LINES]
    traces = []
    compared = next((name for name in names if name.endswith("/grad-cam")), names[0])
    if others:
        traces.append(draw_other_lines(control, others, compared))
    for pruner, name in shown:
        traces.append(
            draw_line(control, levels[pruner], name, _name_line(pruner, name, levels, names))
            | style_line(list(levels).index(pruner), list(names).index(name), len(names))
        )
    controls = list(draw_controls(section.rows, axis, compared, span, named=len(names) > 1))
    title = title_of(names[0])
    what = f"{name_pruned_count(axis)} pruned"
    shapes, annotations = _limits(section, names)
    drawn = make_figure(
        [*traces, *(each.trace for each in controls)],
        what,
        title,
        xaxis={"tickformat": ".0%", "range": list(span), "zeroline": False},
        yaxis={"tickformat": ".0%"} if names == ["accuracy"] else {},
        shapes=[*(each.band for each in controls if each.band), *shapes],
        annotations=annotations,
        hovermode="closest",
        legend=BELOW,
    )
    lines = [
        describe_line(control, levels[p], n, _name_line(p, n, levels, names) or p)
        for p, n in shown[:4]
    ]
    alt = f"{title} against {what}: {'; '.join(lines)}."
    if len(pairs) > 4:
        alt += f" {len(pairs) - 4} more in the table below."
    if controls:
        alt += f" Controls: {'; '.join(each.words for each in controls)}."
    return DrawnFigure(
        title, drawn, clean_words(alt), _caption(names, others, compared, len(pairs))
    )


def _caption(names: Sequence[str], others: Levels, compared: str, lines: int) -> str:
    parts = []
    if others:
        cam = compared.partition("/")[2]
        under = f" under {plain(cam)}" if cam else ""
        shown = min(len(others), MOST_OTHERS)
        some = f"{shown} of {len(others)} other" if shown < len(others) else f"{shown} other"
        parts.append(f"Grey: {some} pruner{'s' if len(others) > 1 else ''}{under}.")
    if lines > MOST_LINES:
        parts.append(f"{MOST_LINES} of {lines} lines are drawn; the table has all.")
    return " ".join(parts)


def _name_line(pruner: str, name: str, levels: Levels, names: Sequence[str]) -> str:
    """Name a line by what differs from the others of its figure."""
    cam = name.partition("/")[2]
    variant = pruner if len(levels) > 1 or not cam else ""
    return " · ".join(plain(part) for part in (variant, cam) if part)


def _limits(section: Section, names: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Draw lines across: published thresholds, or the accuracy that may be lost."""
    limits: list[tuple[float, str, str]] = []
    if list(names) == ["accuracy"]:
        bars = section.references.bars.values()
        if bars:
            limits = [(sum(bars) / len(bars) - FREE, "bar − 1 point", COLOURS[6])]
    for index, name in enumerate(names):
        measure, _, cam = name.partition("/")
        if measure == "sp2ps" and cam in THRESHOLDS:
            colour = COLOURS[index % len(COLOURS)] if len(names) > 1 else COLOURS[6]
            limits.append((THRESHOLDS[cam], f"{cam} ≥ {THRESHOLDS[cam]:.2f}", colour))
    shapes = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": y,
            "y1": y,
            "line": {"color": colour, "dash": "dot", "width": 1.5},
        }
        for y, _, colour in limits
    ]
    highest = max((y for y, _, _ in limits), default=0.0)
    notes = [
        {
            "xref": "paper",
            "x": 1,
            "xanchor": "right",
            "y": y,
            "yanchor": "bottom" if y == highest else "top",
            "text": label(text),
            "showarrow": False,
            "font": {"size": 11},
        }
        for y, text, _ in limits
    ]
    return shapes, notes
