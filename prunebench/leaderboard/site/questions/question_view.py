"""One answer as the page shows it: verdict, figure, table, and what is not in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.answer import Answer
from prunebench.leaderboard.questions.comparison import Gap, OrderComparison
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.links import name_section
from prunebench.leaderboard.site.names import shorten_names
from prunebench.leaderboard.site.plots import DrawnFigure
from prunebench.leaderboard.site.pruners.lines import name_pruned_count
from prunebench.leaderboard.site.questions.figures import draw_two_orders
from prunebench.leaderboard.site.questions.text import (
    format_coefficient,
    format_count,
    give_verdict,
    make_sentence,
    name_sections,
)
from prunebench.leaderboard.writers.cells import plain

MOST_LINES = 60  # of one table
MOST_OPEN = 15  # lines of a table that is shown at once
MOST_GAPS = 20  # of one list
MOST_LEFT_OUT = 4  # pruners named in one place

Titles = Callable[[Iterable[str]], Mapping[str, str]]
"""What the orders of these names are called."""


def name_by_method(names: Iterable[str]) -> dict[str, str]:
    """Name orders of ``sp2ps/grad-cam`` and the like by their explanation method."""
    cams = {name: name.partition("/")[2] for name in names}
    short = shorten_names(cams.values())
    return {name: short[cam] for name, cam in cams.items()}


def name_by_measure(names: Iterable[str]) -> dict[str, str]:
    """Name orders of ``ssim/grad-cam`` and the like by their measure."""
    return {name: title_of(name) for name in names}


def make_question_view(
    title: str, orders: str, answer: Answer, titles: Titles, needed: str
) -> dict[str, Any]:
    """Bring an answer into the form of the template.

    Args:
        title: What it is called among several answers to one question.
        orders: What the two orders of a comparison are by, such as ``Methods``.
        answer: The answer.
        titles: What single orders are called.
        needed: What it takes, where nothing is known.
    """
    comparisons = answer.comparisons
    by = titles({order.name for each in comparisons for order in (each.first, each.second)})
    cams = shorten_names(each.cam for each in comparisons if each.cam)
    left_out = _list_left_out(comparisons)
    repeated = len(comparisons) - len(answer.counting)
    return {
        "title": title,
        "orders": orders,
        "verdict": give_verdict(answer),
        "sentence": make_sentence(answer) or needed,
        "lines": [_line(each, by, cams) for each in comparisons[:MOST_LINES]],
        "open": len(comparisons) <= MOST_OPEN,
        "count": format_count(len(answer.counting), "comparison"),
        "repeated": repeated,
        "by_method": bool(cams),
        "left": len(comparisons) - MOST_LINES,
        "equal": format_count(answer.equal, "comparison") if comparisons and answer.equal else "",
        "unmade": _describe_unmade(answer),
        "figure": _figure(answer, by, orders),
        "left_out": left_out[:MOST_GAPS],
        "left_out_count": len(left_out),
        "more_left_out": len(left_out) - MOST_GAPS,
        "gaps": [_gap(gap) for gap in answer.gaps[:MOST_GAPS]],
        "gap_count": len(answer.gaps),
        "more_gaps": len(answer.gaps) - MOST_GAPS,
    }


def _figure(answer: Answer, by: Mapping[str, str], orders: str) -> DrawnFigure | None:
    drawn = next((each for each in answer.counting if each.tau is not None), None)
    if drawn is None:
        return None
    of = "" if orders == "Measures" else "Sp2PS, "
    titles = (of + by[drawn.first.name], of + by[drawn.second.name])
    return draw_two_orders(drawn, titles, len(answer.counting))


def _describe_unmade(answer: Answer) -> str:
    told = {"comparison": answer.unmade, "pair": answer.unpaired}
    said = [format_count(many, what) for what, many in told.items() if many]
    return " and ".join(said).replace("pairs", "pairs of sections")


def _line(found: OrderComparison, by: Mapping[str, str], cams: Mapping[str, str]) -> dict[str, Any]:
    change = "beyond noise" if found.changes_beyond_noise else "within noise"
    pruners, left = len(found.first.heights), len(found.left_out)
    short = shorten_names((*found.first.heights, *found.left_out))
    return {
        **_link_sections(found.sections),
        "repeated": not found.counts,
        "cam": cams[found.cam] if found.cam else "",
        "at": f"{100 * found.at:.1f}% of {name_pruned_count(found.axis)}",
        "pruners": f"{pruners} of {pruners + left}" if left else f"{pruners}",
        "first": by[found.first.name],
        "second": by[found.second.name],
        "tau": "–" if found.tau is None else format_coefficient(found.tau),
        "reversed": f"{found.swaps.reversed} of {found.swaps.separated}",
        "leader": _name_pruner(found.first.leader, short),
        "other": _name_pruner(found.second.leader, short),
        "change": "" if found.stays else change,
    }


def _name_pruner(pruner: str, short: Mapping[str, str]) -> dict[str, str]:
    return {"name": short[pruner], "label": plain(pruner)}


def _list_left_out(comparisons: Sequence[OrderComparison]) -> list[dict[str, Any]]:
    """Return the pruners that comparisons leave out, with the reason, each list once."""
    found: dict[Any, dict[str, Any]] = {}
    for each in comparisons:
        if each.left_out:
            where = _link_sections(each.sections)
            key = (str(where), each.axis, tuple(each.left_out.items()))
            names = (*each.first.heights, *each.left_out)
            if key not in found:
                pruners = _list_without(each.left_out, names)
                found[key] = {**where, "axis": each.axis, "pruners": pruners}
    return list(found.values())


def _list_without(left_out: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    short = shorten_names(names)
    shown = [
        {**_name_pruner(pruner, short), "reason": plain(reason)}
        for pruner, reason in list(left_out.items())[:MOST_LEFT_OUT]
    ]
    return {"shown": shown, "more": len(left_out) - len(shown)}


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        **_link_sections(gap.sections),
        "axis": gap.axis or "",
        "reason": plain(gap.reason),
        "pruners": _list_without(gap.left_out, gap.left_out),
    }


def _link_sections(sections: Sequence[Section]) -> dict[str, Any]:
    """Return the title of one section or of two compared, and a link for each protocol."""
    links = {
        f"correlations/{name_section(section)}.html": section.first.protocol[:8]
        for section in sections
    }
    return {"title": name_sections(sections), "links": list(links.items())}
