"""Correlations: does accuracy tell what explanations do, and does their choice change who wins?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.correlations import (
    CAUTION,
    LEAST_FOR_RANKS,
    Coefficient,
    Correlation,
    correlate,
    list_explanation_values,
    list_networks,
    list_pruner_lines,
)
from prunebench.leaderboard.board.rank import Axis
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
        render(site, page, "correlation.html", group=group, caution=CAUTION)
    render(site, "correlations.html", "correlations.html", groups=groups, caution=CAUTION)


def _axis(section: Section, axis: Axis) -> dict[str, Any]:
    rows = list_networks(section.rows, axis)
    names = [name for name in list_explanation_values(rows) if not is_part(name)]
    names.sort(key=lambda name: (not name.startswith("sp2ps/"), name))
    whole = correlate(rows, names)
    pruners = list_pruner_lines(section.rows, axis)
    return {
        "axis": axis,
        "title": cells.name_axis(axis),
        "removed": name_pruned_count(axis),
        "networks": len(rows),
        "names": [(title_of(name), plain(name.partition("/")[2])) for name in names],
        "headline": _make_headline(whole),
        "whole": [_make_cell(found) for found in whole],
        "pruners": [
            {
                "name": plain(pruner),
                "link": link_pruner(levels[-1].first.pruner_name),
                "points": len(levels),
                "cells": [_make_cell(found) for found in correlate(levels, names)],
            }
            for pruner, levels in pruners[:MOST_PRUNERS]
        ],
        "left": len(pruners) - MOST_PRUNERS,
        "scatters": [_scatter(rows, same) for same in _group_by_metric(whole)],
        "agreement": make_agreement_view(section, axis),
    }


def _make_headline(whole: Sequence[Correlation]) -> str:
    """Say how closely Sp2PS follows accuracy over all rows."""
    known = [
        (found, found.spearman)
        for found in whole
        if found.spearman is not None and found.name.startswith("sp2ps/")
    ]
    if not known:
        reasons = [found.reason for found in whole if found.name.startswith("sp2ps/")]
        return f"No correlation with Sp2PS: {reasons[0]}." if reasons else "No Sp2PS was measured."
    order = sorted(known, key=lambda pair: pair[1].value)
    ends = [
        (f"{rho.value:.2f}".replace("-", "−"), plain(found.name.partition("/")[2]))
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


def _make_cell(found: Correlation) -> dict[str, Any]:
    return {
        "title": title_value(found.name),
        "points": found.points,
        "reason": found.reason,
        "pearson": _coefficient(found.pearson),
        "spearman": _coefficient(found.spearman),
    }


def _coefficient(found: Coefficient | None) -> dict[str, str] | None:
    if found is None:
        return None
    bounds = "" if found.low is None else f"[{found.low:.2f}, {found.high:.2f}]"
    p = "" if found.p is None else "p < 0.001" if found.p < 0.001 else f"p {found.p:.3f}"
    return {"value": f"{found.value:.2f}".replace("-", "−"), "p": p, "bounds": bounds}


def _group_by_metric(whole: Sequence[Correlation]) -> list[list[Correlation]]:
    found: dict[str, list[Correlation]] = {}
    for each in whole:
        found.setdefault(each.name.partition("/")[0], []).append(each)
    return list(found.values())


def _scatter(rows: Sequence[Row], same: Sequence[Correlation]) -> dict[str, Any]:
    drawn, left = draw_scatter(rows, [found.name for found in same])
    title = title_of(same[0].name)
    told = []
    for found in same:
        cam = plain(found.name.partition("/")[2])
        if found.pearson and found.spearman:
            r, rho = found.pearson.value, found.spearman.value
            told.append(f"{cam} Pearson's r {r:.2f}, Spearman's ρ {rho:.2f}")
        else:
            told.append(f"{cam} not defined, {found.reason}")
    return {
        "title": title,
        "figure": drawn,
        "alt": f"{title} against accuracy over {len(rows)} networks: {'; '.join(told)}.",
        "caption": f"{left} of {len(rows)} networks are left out, evenly." if left else "",
    }
