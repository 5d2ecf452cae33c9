"""The page of what the papers did not ask: what decides the ranking of pruners, besides them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.agreement import LEAST_PRUNERS
from prunebench.leaderboard.board.references import DRAWN
from prunebench.leaderboard.questions.between_sections import compare_by_condition
from prunebench.leaderboard.questions.within_sections import (
    compare_by_measure,
    compare_by_method,
    compare_by_part,
    compare_by_variant,
)
from prunebench.leaderboard.site.names import shorten_names
from prunebench.leaderboard.site.pages import render
from prunebench.leaderboard.site.questions.question_view import (
    make_question_view,
    name_by_measure,
    name_by_method,
)
from prunebench.leaderboard.site.questions.text import RARELY, SOMETIMES, shorten
from prunebench.leaderboard.site.questions.training import make_training_view
from prunebench.leaderboard.writers import cells
from prunebench.leaderboard.writers.cells import plain
from prunebench.trust import MOST_UNDEFINED


def write(sections: Sequence[Section], site: Path) -> None:
    """Write ``questions.html`` into ``site``."""
    again = _choose_suite(sections)
    render(
        site,
        "questions.html",
        "questions.html",
        questions=[
            {
                "id": "method",
                "title": "Does the ranking change with the explanation method?",
                "how": "Orders by Sp2PS under every two explanation methods of one section.",
                "parts": [
                    make_question_view(
                        "",
                        "Methods",
                        compare_by_method(sections),
                        name_by_method,
                        _explain_methods_needed(),
                    )
                ],
            },
            {
                "id": "layer",
                "title": "Does the ranking change with the target layer?",
                "how": "The same networks and the same explanation method, at two layers.",
                "parts": [
                    make_question_view(
                        "",
                        "Layers",
                        compare_by_condition(sections, "target_layer"),
                        shorten_names,
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
                    make_question_view(
                        "",
                        "Class policies",
                        compare_by_condition(sections, "class_policy"),
                        shorten_names,
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
                    make_question_view(
                        "Variants",
                        "Measures",
                        compare_by_variant(sections),
                        name_by_measure,
                        _explain_measures_needed(
                            "ssim, sam or sp2ps itself beside a variant of it"
                        ),
                    ),
                    make_question_view(
                        "Parts of Sp2PS",
                        "Measures",
                        compare_by_part(sections),
                        name_by_measure,
                        _explain_measures_needed("ssim or sam"),
                    ),
                    make_question_view(
                        "Other measures",
                        "Measures",
                        compare_by_measure(sections),
                        name_by_measure,
                        _explain_measures_needed("another measure, such as soft-iou or pe-score"),
                    ),
                ],
            },
        ],
        training=make_training_view(sections),
        least=LEAST_PRUNERS,
        drawn=DRAWN,
        rarely=f"{RARELY:.0%}",
        sometimes=f"{SOMETIMES:.0%}",
        undefined=f"{MOST_UNDEFINED:.0%}",
    )


def _explain_methods_needed() -> str:
    return (
        f"It takes a section with the none control and {LEAST_PRUNERS} pruners or more on one "
        "axis, whose suite lists two explanation methods and sp2ps."
    )


def _explain_measures_needed(measures: str) -> str:
    return (
        f"It takes a section with the none control and {LEAST_PRUNERS} pruners or more on one "
        f"axis, whose suite lists sp2ps and {measures}."
    )


def _choose_suite(sections: Sequence[Section]) -> str:
    """Return the suite to run once more: of the section with the most pruners on an axis."""
    most, best = max(
        ((_pruners(section), -index) for index, section in enumerate(sections)), default=(0, 0)
    )
    if most < LEAST_PRUNERS:
        return f"a suite of {LEAST_PRUNERS} pruners or more on one axis, run twice,"
    record = sections[-best].first
    return (
        f"such as the suite {plain(record.suite)} ({shorten(cells.make_title(record))}, protocol "
        f"{record.protocol[:8]}) run again"
    )


def _pruners(section: Section) -> int:
    return max((len(found.places) for found in section.rankings.values()), default=0)
