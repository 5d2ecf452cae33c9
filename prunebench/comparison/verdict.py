"""Whether a pruned network still looks where its baseline looked, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from prunebench.comparison.chance import describe_controls, find_chance
from prunebench.trust import MOST_UNDEFINED, THRESHOLDS

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks


def give_verdict(found: ComparedNetworks) -> str:
    """Return whether attention was preserved, and one sentence for each reason."""
    if found.withheld:
        return conclude(found)
    return " ".join([conclude(found), *list_reasons(found)])


def conclude(found: ComparedNetworks) -> str:
    """Return in one sentence whether attention was preserved."""
    if found.withheld:
        return f"No verdict: {found.withheld.rstrip('.')}."
    judged = judge_methods(found)
    verdicts = [verdict for verdict in judged.values() if verdict is not None]
    if not verdicts:
        return "No verdict."
    if all(verdicts):
        return "Trusted: the pruned network still looks where the baseline looked."
    if any(verdicts):
        return "Divided: the explanation methods disagree on whether attention was preserved."
    if all(_may_reach(found, cam) for cam, verdict in judged.items() if verdict is False):
        return (
            "Not shown: the maps are about as alike as the threshold asks; more images would tell."
        )
    return "Not trusted: the pruned network no longer looks where the baseline looked."


def _may_reach(found: ComparedNetworks, cam: str) -> bool:
    """Tell whether the interval of a method's Sp2PS holds its threshold, and not chance."""
    row = found.scores.loc[cam]
    in_chance = cam in find_chance(found.scores, found.controls)
    return bool(row["sp2ps_high"] >= row["threshold"]) and not in_chance


def judge_methods(found: ComparedNetworks) -> dict[str, bool | None]:
    """Return by explanation method whether attention was preserved; None: no verdict.

    A published threshold is reached by maps that are alike by chance, too: a method by which
    random weights do as well is not trusted.
    """
    if found.withheld:
        return {str(cam): None for cam in found.scores.index}
    chance = find_chance(found.scores, found.controls)
    return {
        str(cam): False if cam in chance else verdict
        for cam, verdict in found.scores["trusted"].items()
    }


def list_reasons(found: ComparedNetworks) -> list[str]:
    """Return a sentence for each method (Sp2PS against its threshold) and for each control."""
    reasons = [_give_reason(str(cam), row, found.images) for cam, row in found.scores.iterrows()]
    return reasons + (
        describe_controls(found.scores, found.controls) if len(found.controls) else []
    )


def _give_reason(cam: str, row: pd.Series[Any], images: int) -> str:
    if cam not in THRESHOLDS:
        return f"{cam}: no threshold was published."
    if row["undefined"] > MOST_UNDEFINED * images:
        return f"{cam}: {row['undefined']} of {images} images have no map to compare."
    if np.isnan(row["sp2ps_low"]):
        return f"{cam}: too few images."
    relation = "reaches" if row["trusted"] else "stays below"
    return (
        f"{cam}: the lower bound of Sp2PS, {row['sp2ps_low']:.3f}, {relation} "
        f"{row['threshold']:.2f}."
    )
