"""A pruned network's maps held against those of the controls."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from prunebench.comparison.controls import FLOOR


def find_chance(scores: pd.DataFrame, controls: pd.DataFrame) -> list[str]:
    """Find the explanation methods by which the maps keep nothing beyond chance.

    Args:
        scores: See ``Comparison.scores``.
        controls: See ``Comparison.controls``.

    Returns:
        The methods whose interval of Sp2PS overlaps that of random weights, or lies below it.
    """
    if FLOOR not in list_labels(controls):
        return []
    return [
        str(cam)
        for cam, row in scores.iterrows()
        if (low := _find_end(row, "low")) is not None
        and (high := _find_end(read_control(controls, FLOOR, str(cam)), "high")) is not None
        and low <= high
    ]


def find_matched(scores: pd.DataFrame, controls: pd.DataFrame) -> dict[str, list[str]]:
    """Find the controls other than chance that the pruned network reaches, with the methods.

    Args:
        scores: See ``Comparison.scores``.
        controls: See ``Comparison.controls``.

    Returns:
        By control the methods whose interval of Sp2PS overlaps the control's, or lies above it.
    """
    found = {}
    for label in list_labels(controls):
        if label != FLOOR:
            found[label] = [
                str(cam)
                for cam, row in scores.iterrows()
                if (high := _find_end(row, "high")) is not None
                and (low := _find_end(read_control(controls, label, str(cam)), "low")) is not None
                and high >= low
            ]
    return found


def list_labels(controls: pd.DataFrame) -> list[str]:
    """List the controls, in the order in which they were given."""
    return list(dict.fromkeys(controls.index.get_level_values(0))) if len(controls) else []


def read_control(controls: pd.DataFrame, label: str, cam: str) -> pd.Series[Any]:
    """Return what a control scores by an explanation method."""
    return cast("pd.Series[Any]", controls.loc[(label, cam), :])


def describe_controls(scores: pd.DataFrame, controls: pd.DataFrame) -> list[str]:
    """Return what the controls say of the pruned network, one sentence each.

    Args:
        scores: See ``Comparison.scores``.
        controls: See ``Comparison.controls``.
    """
    if not len(controls):
        return [
            "No control was given, so these scores have no scale: random weights would say how "
            "alike maps are by chance, the baseline fine-tuned alike how far training moves them."
        ]
    chance = find_chance(scores, controls)
    sentences = []
    if FLOOR in list_labels(controls):
        sentences.append(
            f"By {', '.join(chance)}, the maps keep nothing beyond chance: the intervals of the "
            "pruned network and of random weights overlap."
            if chance
            else "The maps are more alike than those of random weights."
        )
    for label, cams in find_matched(scores, controls).items():
        beyond = [cam for cam in cams if cam not in chance]
        missed = [str(cam) for cam in scores.index if cam not in cams]
        if beyond:
            sentences.append(
                f"By {', '.join(beyond)}, pruning moved the maps no more than the control "
                f"{label!r} did."
            )
        if missed:
            sentences.append(
                f"By {', '.join(missed)}, pruning moved the maps more than the control {label!r} "
                "did."
            )
    return sentences


def _find_end(row: pd.Series[Any], end: str) -> float | None:
    """Return an end of the interval, else the mean; None where nothing is defined."""
    value = row[f"sp2ps_{end}"]
    value = row["sp2ps"] if np.isnan(value) else value
    return None if np.isnan(value) else float(value)
