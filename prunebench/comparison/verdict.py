"""Whether a pruned network still looks where its baseline looked, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from prunebench.trust import MOST_UNDEFINED, THRESHOLDS


def conclude(scores: pd.DataFrame) -> str:
    """Return in one sentence whether attention was preserved.

    Args:
        scores: See ``Comparison.scores``.
    """
    verdicts = [found for found in scores["trusted"] if found is not None]
    if not verdicts:
        return "No verdict."
    if all(verdicts):
        return "Trusted: the pruned network still looks where the baseline looked."
    if any(verdicts):
        return "Divided: the explanation methods disagree on whether attention was preserved."
    return "Not trusted: the pruned network no longer looks where the baseline looked."


def give_reasons(scores: pd.DataFrame, images: int) -> list[str]:
    """Return one sentence an explanation method: its Sp2PS against its published threshold.

    Args:
        scores: See ``Comparison.scores``.
        images: Number of images compared.
    """
    return [_give_reason(str(cam), row, images) for cam, row in scores.iterrows()]


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
