"""A page for every pruner, and the list of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.horizon import Horizon
from prunebench.leaderboard.board.rank import PrunerRank
from prunebench.leaderboard.board.rescaling import list_preservation_values
from prunebench.leaderboard.board.roles import list_shown
from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.board.seeds import is_preliminary
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.links import link_row
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.pruners.data import (
    UNTOLD,
    BoardPruner,
    MeasuredPruner,
    collect_pruners,
)
from prunebench.leaderboard.site.pruners.figures import draw_figures
from prunebench.leaderboard.site.pruners.lines import name_pruned_count
from prunebench.leaderboard.site.row.citation import find_address, format_bibtex
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain

MOST_GROUPS = 12  # groups of one pruner with figures and rows
MOST_VARIANTS = 12  # variants of a pruner in one group
MOST_ROWS = 150  # rows in one table


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``pruners.html`` and one page a pruner into ``site``."""
    pruners = collect_pruners(sections)
    families: dict[str, list[dict[str, Any]]] = {}
    for link, pruner in sorted(pruners.items(), key=lambda item: item[1].name):
        families.setdefault(pruner.family, []).append(_summarise(link, pruner))
        _write_page(link, pruner, site)
    listed = sorted(families.items(), key=lambda item: (item[0] == UNTOLD, item[0]))
    render(site, "pruners.html", "pruners.html", families=listed)


def _summarise(link: str, pruner: BoardPruner) -> dict[str, Any]:
    horizons = [found for place in pruner.measured for found in _list_horizons(place)]
    return {
        "link": link,
        "name": plain(pruner.name),
        "summary": pruner.card.summary if pruner.card else pruner.missing,
        "rows": pruner.rows,
        "groups": len({id(place.section) for place in pruner.measured}),
        "published": _find_best([h for _, h in horizons if h.versus == "published"], horizons),
        "control": _find_best([h for _, h in horizons if h.versus != "published"], horizons),
    }


def _find_best(
    chosen: Sequence[Horizon], horizons: Sequence[tuple[MeasuredPruner, Horizon]]
) -> dict[str, str]:
    """Return the farthest of some horizons, and where it was reached."""
    known = [found for found in chosen if found.outcome.state and found.outcome.at is not None]
    if not known:
        told = [found.outcome.state for found in chosen if found.outcome.state]
        return {"at": max(told, key=told.count) if told else "–", "where": ""}
    best = max(known, key=lambda h: (h.outcome.at or 0.0, h.outcome.next is None))
    place = next(place for place, found in horizons if found is best)
    title = cells.make_title(place.section.first)
    where = f"of {name_pruned_count(best.axis)}, {plain(best.cam)}, {title}"
    return {"at": str(best.outcome), "where": where}


def _list_horizons(place: MeasuredPruner) -> Iterator[tuple[MeasuredPruner, Horizon]]:
    for found in place.section.horizons:
        if found.axis == place.axis and found.pruner in place.levels:
            yield place, found


def _write_page(link: str, pruner: BoardPruner, site: Path) -> None:
    paper = pruner.card.paper if pruner.card else None
    drawn = pruner.measured[:MOST_GROUPS]
    render(
        site,
        unquote(link),
        "pruner.html",
        pruner=pruner,
        name=plain(pruner.name),
        card=pruner.card,
        paper=paper,
        address=find_address(paper) if paper else None,
        bibtex=format_bibtex(paper) if paper else None,
        ranks=[line for place in pruner.measured for line in _list_ranks(place)][:MOST_ROWS],
        groups=[_group(place, index) for index, place in enumerate(drawn)],
        more=len(pruner.measured) - len(drawn),
    )


def _list_ranks(place: MeasuredPruner) -> Iterator[dict[str, Any]]:
    """Yield for each variant its rank and its nearest trust horizons."""
    ranking = next((r for axis, r in place.section.rankings.items() if axis == place.axis), None)
    places = {each.pruner: each for each in ranking.places} if ranking else {}
    ranked = sum(each.ranked for each in places.values())
    by_variant = _group_by_variant(place)
    for pruner in place.levels:
        if pruner in places:
            found = by_variant.get(pruner, [])
            yield {
                "group": cells.make_title(place.section.first),
                "axis": f"{place.axis}, protocol {place.section.first.protocol[:8]}",
                "pruner": plain(pruner),
                "rank": _format_rank(places[pruner], ranked),
                "published": _format_nearest([h for h in found if h.versus == "published"]),
                "control": _format_nearest([h for h in found if h.versus != "published"]),
            }


def _group_by_variant(place: MeasuredPruner) -> dict[str, list[Horizon]]:
    found: dict[str, list[Horizon]] = {}
    for _, horizon in _list_horizons(place):
        found.setdefault(horizon.pruner, []).append(horizon)
    return found


def _format_rank(place: PrunerRank, ranked: int) -> str:
    if not place.ranked:
        return f"not ranked: {place.reason}"
    return f"{cells.format_place(place)} of {ranked}, score {place.score or 0:.3f}"


def _format_nearest(horizons: Sequence[Horizon]) -> str:
    """Write the nearest of some horizons and its method."""
    if not horizons:
        return "–"
    nearest = min(horizons, key=_reach)
    return f"{nearest.outcome}, {plain(nearest.cam)}"


def _reach(horizon: Horizon) -> float:
    """Return how far a horizon goes; those of which nothing is known come last."""
    outcome = horizon.outcome
    if outcome.state is None:
        return 2.0
    return -1.0 if outcome.state == "not measurable" else outcome.at or 0.0


def _horizon_table(place: MeasuredPruner) -> list[dict[str, Any]]:
    """Return for each variant and method its horizon for either threshold."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for pruner, horizons in _group_by_variant(place).items():
        for found in horizons:
            line = lines.setdefault(
                (pruner, found.cam), {"pruner": plain(pruner), "cam": plain(found.cam)}
            )
            which = "published" if found.versus == "published" else "control"
            line[which] = (f"{found.threshold:.3f}", str(found.outcome))
    return list(lines.values())[:MOST_ROWS]


def _group(place: MeasuredPruner, index: int) -> dict[str, Any]:
    levels = dict(list(place.levels.items())[:MOST_VARIANTS])
    rows = [row for each in levels.values() for row in each]
    names = sorted(
        {name for row in rows for name in list_preservation_values(row)}, key=_sp2ps_first
    )
    control = place.section.control
    lines = rows if place.axis == "none" or control is None else [control, *rows]
    return {
        "id": f"group-{index}",
        "title": cells.make_title(place.section.first),
        "intervals": cells.name_intervals([*rows, *list_shown(place.section.rows)]),
        "protocol": place.section.first.protocol[:8],
        "axis": cells.name_axis(place.axis),
        "removed": name_pruned_count(place.axis),
        "figures": [] if place.axis == "none" else draw_figures(place.section, place.axis, levels),
        "horizons": _horizon_table(place),
        "names": [(title_of(name), plain(name.partition("/")[2])) for name in names],
        "rows": [_row(row, place.section, names) for row in lines[:MOST_ROWS]],
        "left": len(lines) - MOST_ROWS,
        "variants": len(place.levels) - len(levels),
    }


def _sp2ps_first(name: str) -> tuple[bool, str]:
    return not name.startswith("sp2ps/"), name


def _row(row: Row, section: Section, names: Sequence[str]) -> dict[str, Any]:
    accuracy = row.get("accuracy")
    control = row.first.role == "control"
    return {
        "link": link_row(row),
        "pruner": "none (fine-tuning only)" if control else plain(row.first.pruner),
        "level": "" if control else format_level(row),
        "removed": "0%" if control else cells.format_pruned(row.pruned),
        "seeds": f"{row.seeds} (preliminary)" if is_preliminary(row) else row.seeds,
        "accuracy": (cells.format_percent(accuracy), cells.format_percent_bounds(accuracy)),
        "change": cells.format_change(row, section.baseline),
        "values": [
            (
                cells.format_score(row.get(name)),
                cells.format_score_bounds(row.get(name)),
                row.get(name).reason,
            )
            for name in names
        ],
    }
