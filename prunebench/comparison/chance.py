"""A pruned network's maps held against those of the controls."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from prunebench.comparison.controls import FLOOR

Stand = Literal["above", "overlapping", "below"]
"""Where the pruned network's interval of Sp2PS lies, seen from a control's."""

NOT_BEYOND = (
    "the maps keep nothing beyond chance: the pruned network's interval does not lie above that of "
    "random weights."
)
OF_CHANCE: dict[Stand | None, str] = {
    "above": "the maps are more alike than those of random weights.",
    "overlapping": NOT_BEYOND,
    "below": NOT_BEYOND,
    None: "nothing can be said of chance: there are no maps to compare.",
}
NO_MORE = "pruning moved the maps no more than the control {label!r} did."
OF_TRAINING: dict[Stand | None, str] = {
    "above": NO_MORE,
    "overlapping": NO_MORE,
    "below": "pruning moved the maps more than the control {label!r} did.",
    None: "nothing can be said of the control {label!r}: there are no maps to compare.",
}


def find_chance(scores: pd.DataFrame, controls: pd.DataFrame) -> list[str]:
    """Find the explanation methods by which the maps keep nothing beyond chance.

    Args:
        scores: See ``Comparison.scores``.
        controls: See ``Comparison.controls``.

    Returns:
        The methods whose interval of Sp2PS overlaps that of random weights, or lies below it.
    """
    stands = find_stands(scores, controls, FLOOR) if FLOOR in list_labels(controls) else {}
    return [cam for cam, stand in stands.items() if stand != "above"]


def find_stands(scores: pd.DataFrame, controls: pd.DataFrame, label: str) -> dict[str, Stand]:
    """Return where the pruned network stands, seen from a control, by explanation method.

    Args:
        scores: See ``Comparison.scores``.
        controls: See ``Comparison.controls``.
        label: The control.

    Returns:
        The methods by which both have a value.
    """
    found: dict[str, Stand] = {}
    for cam, row in scores.iterrows():
        own, other = _read_ends(row), _read_ends(read_control(controls, label, str(cam)))
        if own is not None and other is not None:
            above, below = own[0] > other[1], own[1] < other[0]
            found[str(cam)] = "above" if above else "below" if below else "overlapping"
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
    return [
        sentence
        for label in list_labels(controls)
        for sentence in _describe_control(scores, controls, label)
    ]


def _describe_control(scores: pd.DataFrame, controls: pd.DataFrame, label: str) -> list[str]:
    stands = find_stands(scores, controls, label)
    sayings = OF_CHANCE if label == FLOOR else OF_TRAINING
    # Where maps are alike by chance, no other control says anything.
    passed = [] if label == FLOOR else find_chance(scores, controls)
    groups: dict[str, list[str]] = {}
    for cam in map(str, scores.index):
        if cam not in passed:
            groups.setdefault(sayings[stands.get(cam)], []).append(cam)
    return [f"By {', '.join(cams)}, {said.format(label=label)}" for said, cams in groups.items()]


def _read_ends(row: pd.Series[Any]) -> tuple[float, float] | None:
    """Return the interval of Sp2PS, else the mean twice; None where nothing is defined."""
    mean, low, high = (float(row[name]) for name in ("sp2ps", "sp2ps_low", "sp2ps_high"))
    if np.isnan(mean):
        return None
    return (mean, mean) if np.isnan(low) else (low, high)
