"""Families of values: by what a value is of, which its name and form tell, whatever its metric."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from prunebench.leaderboard.board.rescaling import PRESERVATION
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Value

Family = Literal[
    "network",
    "verdict",
    "accuracy",
    "sp2ps",
    "compression",
    "speed",
    "rescaled",
    "preservation",
    "quality",
    "cost",
    "times",
]
FAMILIES: dict[Family, str] = {
    "network": "Network",
    "accuracy": "Accuracy",
    "sp2ps": "Sp2PS",
    "verdict": "Verdicts",
    "compression": "Compression",
    "speed": "Latency ratio",
    "rescaled": "Rescaled Sp2PS",
    "preservation": "Other preservation",
    "quality": "Quality of maps",
    "cost": "Other costs",
    "times": "Times",
}
"""Titles, in the order in which families are shown."""

Kind = Literal["percent", "score", "ratio", "ms", "count"]
"""How a number is written; see ``written``."""

COMPRESSION = ("params", "macs")
"""Costs that every board shows."""

SPELLED = {
    "sp2ps": "Sp2PS",
    "ssim": "SSIM",
    "sam": "SAM",
    "iou": "IoU",
    "adcc": "ADCC",
    "macs": "MACs",
    "flops": "FLOPs",
    "cpu": "CPU",
    "cuda": "CUDA",
    "pe": "PE",
    "iqr": "IQR",
    "road": "ROAD",
    "ms": "(ms)",
    "ratio": "ratio",
}
"""Words of names that are not written as they are."""


def family_of(name: str, value: Value) -> Family:
    """The family of a value.

    Maps' values have their method's name after a slash. Of the others, those that were timed are
    times, those that are means over images tell of predictions, and plain numbers are costs.

    Args:
        name: Such as ``ssim/grad-cam``.
        value: It in any record that has a number for it.
    """
    return _family(name, value.measured, value.n is not None)


@lru_cache(maxsize=4096)
def _family(name: str, timed: bool, over_images: bool) -> Family:
    measure, _, cam = name.partition("/")
    bare = re.split(r"[(\[]", measure)[0]
    if cam:
        if bare == "sp2ps":
            return "sp2ps"
        kept = any(bare == known or bare.startswith(f"{known}_") for known in PRESERVATION)
        return "preservation" if kept else "quality"
    if timed:
        return "speed" if bare.endswith("_ratio") else "times"
    if over_images:
        return "accuracy"
    return "compression" if name in COMPRESSION else "cost"


def kind_of(name: str, value: Value, family: Family) -> Kind:
    """How a value is written."""
    bare = name.partition("/")[0]
    if family in ("sp2ps", "rescaled", "preservation", "quality"):
        return "score"
    if family == "accuracy":
        return "percent"
    if family == "speed":
        return "ratio"
    if bare.endswith("_ms"):
        return "ms"
    whole = value.mean is None or float(value.mean).is_integer() or abs(value.mean) > 1
    return "count" if whole else "score"


@lru_cache(maxsize=4096)
def title_of(name: str) -> str:
    """A value's name for people: ``PE score`` for ``pe_score``; its method is told elsewhere."""
    measure = plain(name.partition("/")[0])
    words = [SPELLED.get(word, word) for word in measure.split("_") if word]
    text = " ".join(words) or measure
    return text[:1].upper() + text[1:]


def is_part(name: str) -> bool:
    """Whether a value is of one class alone: there may be hundreds, too many for columns."""
    return re.match(r"sp2ps_class_\d+", name) is not None
