"""The page of a comparison as one HTML file: no script, no other file, every text escaped."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from prunebench.comparison.advice import explain_speed, list_advice
from prunebench.comparison.answer import find_change, give_answer
from prunebench.comparison.chance import describe_controls
from prunebench.comparison.classes import (
    compare_classes,
    find_worst_by_accuracy,
    find_worst_by_maps,
)
from prunebench.comparison.number_format import UNKNOWN, format_number
from prunebench.comparison.overlays import encode_image, encode_overlay
from prunebench.comparison.strips import list_strips
from prunebench.comparison.tables import (
    describe_class_rule,
    describe_method,
    describe_timing,
    make_change_rows,
    make_class_rows,
    make_control_rows,
    make_cost_rows,
    make_prediction_rows,
    make_score_rows,
)
from prunebench.comparison.verdict import judge_methods, list_reasons

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks
    from prunebench.comparison.figure import Picture


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("prunebench.comparison"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _mark_code
    return environment


def _mark_code(text: str) -> Markup:
    """Escape a text, and set what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))


def render_page(found: ComparedNetworks) -> str:
    """Return the page of a comparison, a whole HTML document."""
    template = _environment().get_template("page.html")
    return template.render(report=Markup(render_fragment(found)))


def render_fragment(found: ComparedNetworks, pictures: int | None = None) -> str:
    """Return the report as a piece of HTML with its own style, for a page or a notebook.

    Args:
        found: The comparison.
        pictures: Images shown at most; by default all that the comparison keeps.
    """
    classes = compare_classes(found)
    shown = found.pictures[:pictures]
    return (
        _environment()
        .get_template("report.html")
        .render(
            answer=give_answer(found),
            mood=_find_mood(found),
            warnings=found.warnings,
            reasons=[] if found.withheld else list_reasons(found),
            predictions=make_prediction_rows(found),
            changes=make_change_rows(found),
            strips=list_strips(found),
            controls=describe_controls(found.scores, found.controls),
            control_rows=make_control_rows(found) if len(found.controls) else [],
            scores=make_score_rows(found),
            worst_maps=make_class_rows(find_worst_by_maps(classes)),
            worst_accuracy=make_class_rows(find_worst_by_accuracy(classes)),
            class_rule=describe_class_rule(classes) if classes else "",
            images=[_describe_picture(each, found) for each in shown],
            methods=[_describe_maps(str(cam), shown, found) for cam in found.scores.index],
            cost=found.cost and make_cost_rows(found.cost),
            timing=found.cost and describe_timing(found.cost),
            why_not_faster=found.cost and explain_speed(found.cost),
            cost_notes=found.cost.notes if found.cost else (),
            advice=list_advice(found, classes),
            method=describe_method(found),
        )
    )


def _find_mood(found: ComparedNetworks) -> str:
    """Return in which colour the answer stands: good, bad, or open."""
    decided = [verdict for verdict in judge_methods(found).values() if verdict is not None]
    if found.withheld or not decided:
        return "open"
    if not all(decided):
        return "bad"
    return "open" if find_change(found) == "fell" else "good"


def _describe_picture(picture: Picture, found: ComparedNetworks) -> dict[str, Any]:
    classes = [found.name_class(index) for index in picture.predictions]
    shares = [f"{share:.0%}" if np.isfinite(share) else UNKNOWN for share in picture.confidences]
    labels = [found.name_class(int(label)) for label in picture.label.split()]
    return {
        "title": picture.title,
        "pixels": encode_image(picture.pixels),
        "before": f"{classes[0]}, {shares[0]}",
        "after": f"{classes[1]}, {shares[1]}",
        "flipped": picture.predictions[0] != picture.predictions[1],
        "truth": ", ".join(labels),
    }


def _describe_maps(
    cam: str, pictures: tuple[Picture, ...], found: ComparedNetworks
) -> dict[str, Any]:
    return {
        "name": cam,
        "sp2ps": format_number(found.scores.loc[cam, "sp2ps"], 2),
        "maps": [
            {
                "before": encode_overlay(picture.pixels, picture.maps[cam][0]),
                "after": encode_overlay(picture.pixels, picture.maps[cam][1]),
                "sp2ps": format_number(picture.sp2ps[cam], 2),
            }
            for picture in pictures
        ],
    }
