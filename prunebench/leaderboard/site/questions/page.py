"""The page of what the papers did not ask: what decides the ranking of pruners, besides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prunebench.leaderboard import cells
from prunebench.leaderboard.agreement import LEAST_PRUNERS
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.cells import plain
from prunebench.leaderboard.orders import Order
from prunebench.leaderboard.questions.between import by_condition
from prunebench.leaderboard.questions.comparison import DRAWN, Answer, Comparison, Gap
from prunebench.leaderboard.questions.within import by_measure, by_method, by_variant
from prunebench.leaderboard.site.families import title_of
from prunebench.leaderboard.site.links import section_name
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.pruners.lines import removed_name
from prunebench.leaderboard.site.questions.figures import two_orders
from prunebench.leaderboard.site.questions.text import (
    RARELY,
    SOMETIMES,
    brief,
    counted,
    number,
    sentence,
    verdict,
)
from prunebench.leaderboard.site.questions.training import training_part

MOST_LINES = 60  # of one table
MOST_OPEN = 15  # lines of a table that is shown at once
MOST_GAPS = 20  # of one list

Title = Callable[[Order], str]


def write(sections: Sequence[Section], site: Path) -> None:
    """Writes ``questions.html`` into ``site``."""
    again = _again(sections)
    render(
        site,
        "questions.html",
        "questions.html",
        questions=[
            {
                "id": "method",
                "title": "Does the ranking change with the explanation method?",
                "how": "Orders by Sp2PS under every two explanation methods of one section.",
                "parts": [_part("", "Methods", by_method(sections), _cam, _methods_needed())],
            },
            {
                "id": "layer",
                "title": "Does the ranking change with the target layer?",
                "how": "The same networks and the same explanation method, at two layers.",
                "parts": [
                    _part(
                        "",
                        "Layers",
                        by_condition(sections, "target_layer"),
                        _name,
                        f"It takes the same networks explained at another layer: {again} "
                        "with another target_layer under explain, and nothing else changed.",
                    )
                ],
            },
            {
                "id": "policy",
                "title": "Does the ranking change with the class that is explained?",
                "how": "The same networks and the same explanation method, for the baseline's "
                "class, the label's, or each network's own.",
                "parts": [
                    _part(
                        "",
                        "Class policies",
                        by_condition(sections, "class_policy"),
                        _name,
                        f"It takes the same networks explained for another class: {again} "
                        "with another entry for classes under explain, and nothing else changed.",
                    )
                ],
            },
            {
                "id": "variant",
                "title": "Does the ranking change with the variant of SSIM or SAM?",
                "how": "Orders of one section under one explanation method: Sp2PS, its parts and "
                "their variants, each beside what it is a part or a variant of; then Sp2PS beside "
                "other measures of preservation.",
                "parts": [
                    _part(
                        "Variants",
                        "Measures",
                        by_variant(sections),
                        _measure,
                        _measures_needed("ssim, sam or one of their variants"),
                    ),
                    _part(
                        "Other measures",
                        "Measures",
                        by_measure(sections),
                        _measure,
                        _measures_needed("another measure, such as soft-iou or pe-score"),
                    ),
                ],
            },
        ],
        training=training_part(sections),
        least=LEAST_PRUNERS,
        drawn=DRAWN,
        rarely=f"{RARELY:.0%}",
        sometimes=f"{SOMETIMES:.0%}",
    )


def _methods_needed() -> str:
    return (
        f"It takes a section with the none control and {LEAST_PRUNERS} pruners or more on one "
        "axis, whose suite lists two explanation methods and sp2ps."
    )


def _measures_needed(measures: str) -> str:
    return (
        f"It takes a section with the none control and {LEAST_PRUNERS} pruners or more on one "
        f"axis, whose suite lists sp2ps and {measures}."
    )


def _again(sections: Sequence[Section]) -> str:
    """The suite of which section to run once more: that with the most pruners on an axis."""
    most, best = max(
        ((_pruners(section), -index) for index, section in enumerate(sections)), default=(0, 0)
    )
    if most < LEAST_PRUNERS:
        return f"a suite of {LEAST_PRUNERS} pruners or more on one axis, run twice,"
    record = sections[-best].first
    return (
        f"such as the suite {plain(record.suite)} ({brief(cells.title(record))}, protocol "
        f"{record.protocol[:8]}) run again"
    )


def _pruners(section: Section) -> int:
    return max((len(found.places) for found in section.rankings.values()), default=0)


def _part(title: str, orders: str, answer: Answer, name: Title, needed: str) -> dict[str, Any]:
    comparisons = answer.comparisons
    drawn = next((each for each in comparisons if each.tau is not None), None)
    figure = None
    if drawn:
        of = "" if name is _measure else "Sp2PS, "
        titles = (of + name(drawn.first), of + name(drawn.second))
        figure = two_orders(drawn, titles, len(comparisons))
    return {
        "title": title,
        "orders": orders,
        "verdict": verdict(answer),
        "sentence": sentence(answer),
        "needed": "" if comparisons else needed,
        "lines": [_line(each, name) for each in comparisons[:MOST_LINES]],
        "open": len(comparisons) <= MOST_OPEN,
        "count": counted(len(comparisons), "comparison"),
        "by_method": any(each.cam for each in comparisons),
        "left": len(comparisons) - MOST_LINES,
        "equal": counted(answer.equal, "comparison") if answer.equal else "",
        "unmade": counted(answer.unmade, "comparison") if answer.unmade else "",
        "figure": figure,
        "gaps": [_gap(gap) for gap in answer.gaps[:MOST_GAPS]],
        "gap_count": len(answer.gaps),
        "more_gaps": len(answer.gaps) - MOST_GAPS,
    }


def _line(found: Comparison, name: Title) -> dict[str, Any]:
    change = "beyond noise" if found.changes_beyond_noise else "within noise"
    return {
        **_where(found.sections),
        "cam": brief(found.cam or ""),
        "at": f"{100 * found.at:.1f}% of {removed_name(found.axis)}",
        "pruners": len(found.first.heights),
        "first": name(found.first),
        "second": name(found.second),
        "tau": "–" if found.tau is None else number(found.tau),
        "reversed": f"{found.swaps.turned} of {found.swaps.told}",
        "leader": brief(found.first.leader),
        "other": "the same" if found.stays else brief(found.second.leader),
        "change": "" if found.stays else change,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {**_where(gap.sections), "axis": gap.axis or "", "reason": plain(gap.reason)}


def _where(sections: Sequence[Section]) -> dict[str, Any]:
    """A section, or the two that are compared: their title, and a link for each protocol."""
    links = {
        f"correlations/{section_name(section)}.html": section.first.protocol[:8]
        for section in sections
    }
    return {"title": cells.title(sections[0].first), "links": list(links.items())}


def _cam(order: Order) -> str:
    return brief(order.name.partition("/")[2])


def _measure(order: Order) -> str:
    return title_of(order.name)


def _name(order: Order) -> str:
    return brief(order.name)
