"""The page of what the papers did not ask: what decides the ranking of pruners, besides them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.agreement import LEAST_PRUNERS
from prunebench.leaderboard.board.rank import DRAWN
from prunebench.leaderboard.questions.between import by_condition
from prunebench.leaderboard.questions.within import by_measure, by_method, by_part, by_variant
from prunebench.leaderboard.site.names import short_names
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.questions.part import of_measures, of_methods, part
from prunebench.leaderboard.site.questions.text import RARELY, SOMETIMES, brief
from prunebench.leaderboard.site.questions.training import training_part
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.trust import MOST_UNDEFINED


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
                "parts": [part("", "Methods", by_method(sections), of_methods, _methods_needed())],
            },
            {
                "id": "layer",
                "title": "Does the ranking change with the target layer?",
                "how": "The same networks and the same explanation method, at two layers.",
                "parts": [
                    part(
                        "",
                        "Layers",
                        by_condition(sections, "target_layer"),
                        short_names,
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
                    part(
                        "",
                        "Class policies",
                        by_condition(sections, "class_policy"),
                        short_names,
                        f"It takes the same networks explained for another class: {again} "
                        "with another entry for classes under explain, and nothing else changed.",
                    )
                ],
            },
            {
                "id": "variant",
                "title": "Does the ranking change with the variant of SSIM or SAM?",
                "how": "Orders of one section under one explanation method: SSIM, SAM and Sp2PS "
                "beside their variants; Sp2PS beside the two that it is made of; Sp2PS beside "
                "other measures of preservation.",
                "parts": [
                    part(
                        "Variants",
                        "Measures",
                        by_variant(sections),
                        of_measures,
                        _measures_needed("ssim, sam or sp2ps itself beside a variant of it"),
                    ),
                    part(
                        "Parts of Sp2PS",
                        "Measures",
                        by_part(sections),
                        of_measures,
                        _measures_needed("ssim or sam"),
                    ),
                    part(
                        "Other measures",
                        "Measures",
                        by_measure(sections),
                        of_measures,
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
        undefined=f"{MOST_UNDEFINED:.0%}",
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
