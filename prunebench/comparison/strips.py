"""Sp2PS of the pruned network and the controls on one scale, as the strips of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from prunebench.comparison.chance import list_labels, read_control
from prunebench.comparison.controls import FLOOR
from prunebench.comparison.number_format import format_interval, format_number
from prunebench.comparison.tables import name_control

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks


@dataclass(frozen=True)
class Strip:
    """One network's mean and interval on the scale from 0 to 1.

    Attributes:
        method: The explanation method.
        network: What the network is called.
        kind: ``floor``, ``control`` or ``pruned``.
        shown: The mean, as text.
        interval: The interval, as text.
        mean: In percent of the scale; None where undefined.
        low: Of the interval, likewise; the mean where there is none.
        high: Of the interval, likewise.
        threshold: The published threshold, likewise; None where there is none.
    """

    method: str
    network: str
    kind: str
    shown: str
    interval: str
    mean: float | None
    low: float | None
    high: float | None
    threshold: float | None


def list_strips(found: ComparedNetworks) -> list[Strip]:
    """Return for each method the controls' strips, random weights first, and the network's."""
    strips = []
    labels = sorted(list_labels(found.controls), key=lambda label: label != FLOOR)
    for cam, row in found.scores.iterrows():
        threshold = _scale(row["threshold"])
        for label in labels:
            kind = "floor" if label == FLOOR else "control"
            control = read_control(found.controls, label, str(cam))
            strips.append(_make_strip(str(cam), name_control(label), kind, control, threshold))
        strips.append(_make_strip(str(cam), "pruned", "pruned", row, threshold))
    return strips


def _make_strip(
    cam: str, network: str, kind: str, row: pd.Series[Any], threshold: float | None
) -> Strip:
    mean = _scale(row["sp2ps"])
    low, high = _scale(row["sp2ps_low"]), _scale(row["sp2ps_high"])
    return Strip(
        method=cam,
        network=network,
        kind=kind,
        shown=format_number(row["sp2ps"]),
        interval=format_interval(row["sp2ps_low"], row["sp2ps_high"]),
        mean=mean,
        low=mean if low is None else low,
        high=mean if high is None else high,
        threshold=threshold,
    )


def _scale(value: float) -> float | None:
    """Return a value of the scale in percent; None where undefined."""
    return None if np.isnan(value) else round(100 * float(value), 2)
