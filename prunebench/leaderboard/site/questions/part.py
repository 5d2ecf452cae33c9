"""One answer as the page shows it: verdict, figure, table, and what is not in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.questions.answer import Answer
from prunebench.leaderboard.questions.comparison import Comparison, Gap
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.links import section_name
from prunebench.leaderboard.site.names import short_names
from prunebench.leaderboard.site.plots import Drawn
from prunebench.leaderboard.site.pruners.lines import removed_name
from prunebench.leaderboard.site.questions.figures import two_orders
from prunebench.leaderboard.site.questions.text import counted, number, place, sentence, verdict
from prunebench.leaderboard.writers.cells import plain

MOST_LINES = 60  # of one table
MOST_OPEN = 15  # lines of a table that is shown at once
MOST_GAPS = 20  # of one list
MOST_LEFT_OUT = 4  # pruners named in one place

Titles = Callable[[Iterable[str]], Mapping[str, str]]
"""What the orders of these names are called."""


def of_methods(names: Iterable[str]) -> dict[str, str]:
    """Orders of ``sp2ps/grad-cam`` and the like by their explanation method."""
    cams = {name: name.partition("/")[2] for name in names}
    short = short_names(cams.values())
    return {name: short[cam] for name, cam in cams.items()}


def of_measures(names: Iterable[str]) -> dict[str, str]:
    """Orders of ``ssim/grad-cam`` and the like by their measure."""
    return {name: title_of(name) for name in names}


def part(title: str, orders: str, answer: Answer, titles: Titles, needed: str) -> dict[str, Any]:
    """An answer for the template.

    Args:
        title: What it is called among several answers to one question.
        orders: What the two orders of a comparison are by, such as ``Methods``.
        answer: The answer.
        titles: What single orders are called.
        needed: What it takes, where nothing is known.
    """
    comparisons = answer.comparisons
    by = titles({order.name for each in comparisons for order in (each.first, each.second)})
    cams = short_names(each.cam for each in comparisons if each.cam)
    left_out = _left_out(comparisons)
    repeated = len(comparisons) - len(answer.counting)
    return {
        "title": title,
        "orders": orders,
        "verdict": verdict(answer),
        "sentence": sentence(answer) or needed,
        "lines": [_line(each, by, cams) for each in comparisons[:MOST_LINES]],
        "open": len(comparisons) <= MOST_OPEN,
        "count": counted(len(answer.counting), "comparison"),
        "repeated": repeated,
        "by_method": bool(cams),
        "left": len(comparisons) - MOST_LINES,
        "equal": counted(answer.equal, "comparison") if comparisons and answer.equal else "",
        "unmade": _unmade(answer),
        "figure": _figure(answer, by, orders),
        "left_out": left_out[:MOST_GAPS],
        "left_out_count": len(left_out),
        "more_left_out": len(left_out) - MOST_GAPS,
        "gaps": [_gap(gap) for gap in answer.gaps[:MOST_GAPS]],
        "gap_count": len(answer.gaps),
        "more_gaps": len(answer.gaps) - MOST_GAPS,
    }


def _figure(answer: Answer, by: Mapping[str, str], orders: str) -> Drawn | None:
    drawn = next((each for each in answer.counting if each.tau is not None), None)
    if drawn is None:
        return None
    of = "" if orders == "Measures" else "Sp2PS, "
    titles = (of + by[drawn.first.name], of + by[drawn.second.name])
    return two_orders(drawn, titles, len(answer.counting))


def _unmade(answer: Answer) -> str:
    told = {"comparison": answer.unmade, "pair": answer.unpaired}
    said = [counted(many, what) for what, many in told.items() if many]
    return " and ".join(said).replace("pairs", "pairs of sections")


def _line(found: Comparison, by: Mapping[str, str], cams: Mapping[str, str]) -> dict[str, Any]:
    change = "beyond noise" if found.changes_beyond_noise else "within noise"
    pruners, left = len(found.first.heights), len(found.left_out)
    short = short_names((*found.first.heights, *found.left_out))
    return {
        **_where(found.sections),
        "repeated": not found.counts,
        "cam": cams[found.cam] if found.cam else "",
        "at": f"{100 * found.at:.1f}% of {removed_name(found.axis)}",
        "pruners": f"{pruners} of {pruners + left}" if left else f"{pruners}",
        "first": by[found.first.name],
        "second": by[found.second.name],
        "tau": "–" if found.tau is None else number(found.tau),
        "reversed": f"{found.swaps.turned} of {found.swaps.told}",
        "leader": _named(found.first.leader, short),
        "other": _named(found.second.leader, short),
        "change": "" if found.stays else change,
    }


def _named(pruner: str, short: Mapping[str, str]) -> dict[str, str]:
    return {"name": short[pruner], "label": plain(pruner)}


def _left_out(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Pruners that some comparisons are without, with the reason; what is equal is told once."""
    found: dict[Any, dict[str, Any]] = {}
    for each in comparisons:
        if each.left_out:
            where = _where(each.sections)
            key = (str(where), each.axis, tuple(each.left_out.items()))
            names = (*each.first.heights, *each.left_out)
            if key not in found:
                pruners = _without(each.left_out, names)
                found[key] = {**where, "axis": each.axis, "pruners": pruners}
    return list(found.values())


def _without(left_out: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    short = short_names(names)
    shown = [
        {**_named(pruner, short), "reason": plain(reason)}
        for pruner, reason in list(left_out.items())[:MOST_LEFT_OUT]
    ]
    return {"shown": shown, "more": len(left_out) - len(shown)}


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        **_where(gap.sections),
        "axis": gap.axis or "",
        "reason": plain(gap.reason),
        "pruners": _without(gap.left_out, gap.left_out),
    }


def _where(sections: Sequence[Section]) -> dict[str, Any]:
    """A section, or the two that are compared: their title, and a link for each protocol."""
    links = {
        f"correlations/{section_name(section)}.html": section.first.protocol[:8]
        for section in sections
    }
    return {"title": place(sections), "links": list(links.items())}
