"""Correlations: does accuracy tell what explanations do, and does their choice change who wins?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.collapse import (
    COLLAPSED,
    MOST_LOST,
    TwofoldCorrelation,
    correlate_twice,
    find_bar,
    write_coefficient,
)
from prunebench.leaderboard.board.correlations import (
    CAUTION,
    LEAST_FOR_RANKS,
    Coefficient,
    Correlation,
    list_explanation_values,
    list_networks,
    list_pruner_lines,
)
from prunebench.leaderboard.board.grid import Axis
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.site.correlations.agreement import make_agreement_view
from prunebench.leaderboard.site.correlations.figures import draw_scatter, title_value
from prunebench.leaderboard.site.families import is_part, title_of
from prunebench.leaderboard.site.links import link_pruner, name_section
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.pruners.lines import name_pruned_count
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

WEAK = 0.3
"""Spearman's rho below which, either way, no direction is told."""
MOST_PRUNERS = 40  # with correlations of their own on one page


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``correlations.html`` and one page a group into ``site``."""
    groups = []
    for section in sections:
        page = f"correlations/{name_section(section)}.html"
        group = {
            "title": cells.make_title(section.first),
            "protocol": section.first.protocol[:8],
            "page": page,
            "axes": [_axis(section, axis) for axis in AXES if axis in section.rankings],
        }
        groups.append(group)
        render(site, page, "correlation.html", group=group, caution=CAUTION, collapsed=COLLAPSED)
    render(
        site,
        "correlations.html",
        "correlations.html",
        groups=groups,
        caution=CAUTION,
        collapsed=COLLAPSED,
    )


def _axis(section: Section, axis: Axis) -> dict[str, Any]:
    rows = list_networks(section.rows, axis)
    names = [name for name in list_explanation_values(rows) if not is_part(name)]
    names.sort(key=lambda name: (not name.startswith("sp2ps/"), name))
    bar = find_bar(section.baseline, section.control)
    whole = correlate_twice(rows, names, bar)
    main = [each for each in whole if each.every.name.startswith("sp2ps/")]
    pruners = list_pruner_lines(section.rows, axis)
    return {
        "axis": axis,
        "title": cells.name_axis(axis),
        "removed": name_pruned_count(axis),
        "networks": len(rows),
        "names": [(title_of(name), plain(name.partition("/")[2])) for name in names],
        "bar": None if bar is None else f"{100 * bar:.2f}%",
        "headline": _make_headline([each.every for each in main]),
        "working": _make_working_headline(main),
        "warning": _warn_of_collapse(main),
        "whole": [_make_pair(found) for found in whole],
        "pruners": [
            {
                "name": plain(pruner),
                "link": link_pruner(levels[-1].first.pruner_name),
                "pairs": [_make_pair(found) for found in correlate_twice(levels, names, bar)],
            }
            for pruner, levels in pruners[:MOST_PRUNERS]
        ],
        "left": len(pruners) - MOST_PRUNERS,
        "scatters": [_scatter(rows, same, bar) for same in _group_by_metric(whole)],
        "agreement": make_agreement_view(section, axis),
    }


def _make_headline(whole: Sequence[Correlation]) -> str:
    """Say how closely Sp2PS, under each explanation method, follows accuracy over some rows."""
    known = [(found, found.spearman) for found in whole if found.spearman is not None]
    if not known:
        reasons = [found.reason for found in whole]
        return f"No correlation with Sp2PS: {reasons[0]}." if reasons else "No Sp2PS was measured."
    order = sorted(known, key=lambda pair: pair[1].value)
    ends = [
        (write_coefficient(rho.value), plain(found.name.partition("/")[2]))
        for found, rho in (order[0], order[-1])
    ]
    if ends[0][0] == ends[1][0]:
        told = f"{ends[0][0]} ({'every method' if len(order) > 1 else ends[0][1]})"
    else:
        told = " to ".join(f"{value} ({cam})" for value, cam in ends)
    points = sorted({found.points for found, _ in known})
    over = " to ".join(dict.fromkeys(str(number) for number in (points[0], points[-1])))
    said = _describe_strength([rho.value for _, rho in order], points[0])
    return f"{said}: Spearman's ρ {told} over {over} networks."


def _make_working_headline(main: Sequence[TwofoldCorrelation]) -> str | None:
    """Say the same of the networks that have not collapsed; None without Sp2PS."""
    most = max((found.collapsed for found in main), default=None)
    if most is None:
        return None
    if most == 0:
        return f"No network {COLLAPSED}."
    headline = _make_headline([found.working for found in main])
    return f"Without the {most} that {COLLAPSED}: {headline[0].lower()}{headline[1:]}"


def _warn_of_collapse(main: Sequence[TwofoldCorrelation]) -> str | None:
    """Say in one sentence that the two let a reader believe different things; None if not."""
    told = [(found.every.name, found.explain_disagreement()) for found in main]
    warned = [(name, text) for name, text in told if text]
    if not warned:
        return None
    name, text = warned[0]
    some = f"{len(warned)} of {len(main)} methods"
    return f"For {some} the two do not tell the same; {title_value(name)}: {text}"


def _describe_strength(rhos: Sequence[float], points: int) -> str:
    """Say how close rising coefficients of so many points are, and in which direction."""
    if points < LEAST_FOR_RANKS:
        return f"Fewer than {LEAST_FOR_RANKS} networks, too few to say how Sp2PS goes with accuracy"
    if rhos[0] <= -WEAK and rhos[-1] >= WEAK:
        return "Where accuracy falls, Sp2PS falls or rises with the explanation method"
    middle = median(rhos)
    falls = "falls with it" if middle > 0 else "rises"
    if abs(middle) >= 0.9:
        return f"Where accuracy falls, Sp2PS {falls} almost without exception"
    if abs(middle) >= 0.6:
        return f"Where accuracy falls, Sp2PS mostly {falls}, not always"
    if abs(middle) >= WEAK:
        return f"Where accuracy falls, Sp2PS {falls} more often than not"
    return "The order by accuracy tells little of the order by Sp2PS"


def _make_pair(found: TwofoldCorrelation) -> dict[str, Any]:
    return {
        "title": title_value(found.every.name),
        "collapsed": found.collapsed,
        "cells": [_make_cell(found.every), _make_cell(found.working)],
        "warning": found.explain_disagreement(),
    }


def _make_cell(found: Correlation) -> dict[str, Any]:
    return {
        "points": found.points,
        "reason": found.reason,
        "pearson": _coefficient(found.pearson),
        "spearman": _coefficient(found.spearman),
        "zeros": "–" if found.zero_maps is None else f"{100 * found.zero_maps:.1f}%",
    }


def _coefficient(found: Coefficient | None) -> dict[str, str] | None:
    if found is None:
        return None
    bounds = "" if found.low is None else f"[{found.low:.2f}, {found.high:.2f}]"
    p = "" if found.p is None else "p < 0.001" if found.p < 0.001 else f"p {found.p:.3f}"
    return {"value": write_coefficient(found.value), "p": p, "bounds": bounds}


def _group_by_metric(whole: Sequence[TwofoldCorrelation]) -> list[list[TwofoldCorrelation]]:
    found: dict[str, list[TwofoldCorrelation]] = {}
    for each in whole:
        found.setdefault(each.every.name.partition("/")[0], []).append(each)
    return list(found.values())


def _scatter(
    rows: Sequence[Row], same: Sequence[TwofoldCorrelation], bar: float | None
) -> dict[str, Any]:
    least = None if bar is None else bar - MOST_LOST
    drawn, left = draw_scatter(rows, [found.every.name for found in same], least)
    title = title_of(same[0].every.name)
    told = []
    for found in same:
        cam = plain(found.every.name.partition("/")[2])
        without = f", without collapsed {_tell(found.working)}" if found.collapsed else ""
        told.append(f"{cam} {_tell(found.every)}{without}")
    left_out = f"{left} of {len(rows)} networks are left out, evenly. " if left else ""
    limit = f"Left of the dotted line: networks that {COLLAPSED}." if least is not None else ""
    return {
        "title": title,
        "figure": drawn,
        "alt": f"{title} against accuracy over {len(rows)} networks: {'; '.join(told)}.",
        "caption": f"{left_out}{limit}",
    }


def _tell(found: Correlation) -> str:
    """Tell both coefficients, or why there are none."""
    if not found.pearson or not found.spearman:
        return f"not defined, {found.reason}"
    r, rho = (write_coefficient(each.value) for each in (found.pearson, found.spearman))
    return f"Pearson's r {r}, Spearman's ρ {rho}"
