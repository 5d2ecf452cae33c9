"""The tables of a comparison's pages: rows of texts by column, the same in markdown and HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from prunebench.comparison.answer import format_drop, format_points
from prunebench.comparison.chance import list_labels, read_control
from prunebench.comparison.classes import LEAST_IMAGES, ComparedClass
from prunebench.comparison.controls import FLOOR
from prunebench.comparison.number_format import (
    UNKNOWN,
    format_change,
    format_count,
    format_interval,
    format_mean,
    format_number,
)
from prunebench.comparison.verdict import judge_methods
from prunebench.intervals import Interval
from prunebench.trust import SOURCE

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks
    from prunebench.comparison.costs import ComparedCosts, MedianTime

Rows = list[dict[str, str]]

EXPLAINED = {
    "baseline": "the class that the baseline predicts, in both networks",
    "label": "the true class, in both networks",
    "own": "each network's own prediction",
}


def make_score_rows(found: ComparedNetworks) -> Rows:
    """Return one row an explanation method: how alike the maps are."""
    verdicts = judge_methods(found)
    return [
        {
            "method": str(cam),
            "Sp2PS": format_number(row["sp2ps"]),
            "95% interval": format_interval(row["sp2ps_low"], row["sp2ps_high"]),
            "threshold": format_number(row["threshold"], 2),
            "trusted": {True: "yes", False: "no", None: UNKNOWN}[verdicts[str(cam)]],
            "SSIM": format_number(row["ssim"]),
            "SAM": format_number(row["sam"]),
            "IoU": format_number(row["iou"]),
            "soft IoU": format_number(row["soft_iou"]),
            "PE-score": format_number(row["pe_score"]),
            "undefined": str(row["undefined"]),
            "empty maps": f"{row['zero_map_fraction_baseline']:.1%} / "
            f"{row['zero_map_fraction_pruned']:.1%}",
        }
        for cam, row in found.scores.iterrows()
    ]


def name_control(label: str) -> str:
    """Return what pages call a control."""
    return "random weights" if label == FLOOR else label


def make_control_rows(found: ComparedNetworks) -> Rows:
    """Return one row a method and control, the pruned network's among them."""
    rows = []
    for cam, scores in found.scores.iterrows():
        for label in list_labels(found.controls):
            control = read_control(found.controls, label, str(cam))
            rows.append(_make_control_row(str(cam), name_control(label), control))
        accuracy = found.accuracy.pruned if found.accuracy else np.nan
        own = pd.Series({"agreement": found.agreement, "accuracy": accuracy})
        rows.append(_make_control_row(str(cam), "pruned", pd.concat([scores, own])))
    return rows


def _make_control_row(cam: str, network: str, row: pd.Series[Any]) -> dict[str, str]:
    accuracy = format_number(row["accuracy"])
    return {
        "method": cam,
        "network": network,
        "Sp2PS": format_number(row["sp2ps"]),
        "95% interval": format_interval(row["sp2ps_low"], row["sp2ps_high"]),
        "same prediction": f"{row['agreement']:.1%}",
        "accuracy": accuracy if accuracy == UNKNOWN else f"{row['accuracy']:.1%}",
    }


def make_prediction_rows(found: ComparedNetworks) -> Rows:
    """Return one row: agreement and, with labels, the accuracies and their drop."""
    row = {"same prediction": f"{found.agreement:.1%}"}
    if found.accuracy is not None:
        row["accuracy of the baseline"] = f"{found.accuracy.baseline:.1%}"
        row["of the pruned network"] = f"{found.accuracy.pruned:.1%}"
        row["drop (points)"] = format_drop(found)
    return [row]


def make_change_rows(found: ComparedNetworks) -> Rows:
    """Return Sp2PS where the prediction was kept and where it flipped."""
    rows = []
    for change in ("kept", "flipped"):
        part = found.per_image[found.per_image["change"] == change]
        means = part.groupby("cam")["sp2ps"].mean()
        rows.append(
            {"prediction": change, "images": str(part["image"].nunique())}
            | {f"Sp2PS {cam}": format_number(means.get(cam)) for cam in found.scores.index}
        )
    return rows


def make_class_rows(classes: list[ComparedClass]) -> Rows:
    """Return one row a class."""
    return [
        {
            "class": each.name,
            "images": str(each.images),
            "Sp2PS": format_mean(each.sp2ps),
            "drop (points)": _format_drop(each.drop),
            "changed predictions": str(each.flipped),
        }
        for each in classes
    ]


def describe_class_rule(classes: list[ComparedClass]) -> str:
    """Say of which classes the worst are shown, and of which kind they are."""
    of = "true class" if classes[0].drop else "class explained"
    return (
        f"Of the {len(classes)} classes with at least {LEAST_IMAGES} images, by the {of}. Sp2PS is "
        "the mean over the methods. The worst of many are partly so by chance: their intervals do "
        "not allow for the choice."
    )


def _format_drop(drop: Interval | None) -> str:
    if drop is None or drop.mean is None:
        return UNKNOWN
    if drop.low is None or drop.high is None:
        return format_points(drop.mean)
    return f"{format_points(drop.mean)} ({format_points(drop.low)} to {format_points(drop.high)})"


def make_cost_rows(cost: ComparedCosts) -> Rows:
    """Return one row a cost: both networks' and what became of it."""
    counts = (
        ("parameters", cost.baseline.params, cost.pruned.params, ""),
        (
            "of them not zero",
            cost.baseline.nonzero_params,
            cost.pruned.nonzero_params,
            "",
        ),
        ("MACs of one image", cost.baseline.macs, cost.pruned.macs, ""),
        ("size of all weights", cost.baseline.size_bytes, cost.pruned.size_bytes, "B"),
    )
    rows = [
        {
            "cost": name,
            "baseline": format_count(before, unit),
            "pruned": format_count(after, unit),
            "change": format_change(before, after),
        }
        for name, before, after, unit in counts
    ]
    for timed in cost.times:
        images = "one image" if timed.batch == 1 else f"a batch of {timed.batch}"
        fast = timed.speedup
        rows.append(
            {
                "cost": f"time of {images}",
                "baseline": _format_time(timed.baseline),
                "pruned": _format_time(timed.pruned),
                "change": f"speed ×{fast.median:.2f} ({fast.low:.2f} to {fast.high:.2f})",
            }
        )
    return rows


def describe_timing(cost: ComparedCosts) -> str:
    """Say how and where the times were measured."""
    pairs = " and ".join(str(timed.pairs) for timed in cost.times) or "no"
    few = " (of five pairs their range)" if any(each.pairs < 6 for each in cost.times) else ""
    return (
        f"Times are medians of {pairs} pairs of forward passes, both networks in turns in one "
        f"process, with 95% intervals of the median{few}: {cost.machine}."
    )


def _format_time(time: MedianTime) -> str:
    return f"{time.median:.3g} ms ({time.low:.3g} to {time.high:.3g})"


def describe_method(found: ComparedNetworks) -> list[str]:
    """Return how the comparison was made, one sentence each."""
    base, pruned = found.layers
    layer = f"`{base}`" if base == pruned else f"`{base}` (baseline), `{pruned}` (pruned)"
    return [
        *(f"{line}." for line in found.about),
        f"{found.images} images; explained: {EXPLAINED[found.class_policy]}; target layer: "
        f"{layer}.",
        "All scores lie at 1 for maps that are equal. Sp2PS is the harmonic mean of SAM and "
        "SSIM of each image, averaged over images.",
        "Intervals are 95% bootstrap intervals over images; they say nothing about other "
        "training runs.",
        "An image is undefined where neither network's map shows anything; it counts in no "
        "mean. Above 5% of such images no verdict is given.",
        f"Thresholds: {SOURCE}.",
        *(
            f"The {name} network could not be cut at its target layer, so that methods that "
            f"run it again ran all of it (slower, with the same result): {reason}."
            for name, reason in zip(("baseline", "pruned"), found.uncut, strict=True)
            if reason
        ),
    ]
