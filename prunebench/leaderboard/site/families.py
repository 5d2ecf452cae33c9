"""Families of values: by what a value is of, which its name and form tell, whatever its metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from prunebench.leaderboard.board.rescaling import compares_maps
from prunebench.leaderboard.writers.cells import plain
from prunebench.record import Value
from prunebench.record.scales import bare_name, declarations, is_latency_ratio, scale_of

RANKED = "sp2ps"
"""The value by which boards rank, a family of its own."""

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

OF_QUANTITY: Mapping[str, Family] = {
    "accuracy": "accuracy",
    "preservation": "preservation",
    "distance": "quality",
    "quality": "quality",
    "parameters": "cost",
    "operations": "cost",
    "memory": "cost",
    "cost": "cost",
    "time": "times",
    "latency ratio": "speed",
}
"""By what a value measures, its family; headline costs stand with compression."""

SPELLED = {"cpu": "CPU", "cuda": "CUDA", "iqr": "IQR", "ms": "(ms)"}
"""Words of names that are not written as they are, beside those that metrics declare."""


def family_of(name: str, value: Value) -> Family:
    """Return the family of a value: by what its metric declares that it measures.

    What was timed is a time in any case. Where no installed metric declares a value, its form
    decides: values of maps have their method's name after a slash, and may be called as variants
    of declared ones are; of the others, means over images tell of predictions, and plain numbers
    are costs.

    Args:
        name: Such as ``ssim/grad-cam``.
        value: It in any record that has a number for it.
    """
    if "/" in name and bare_name(name) == RANKED:
        return "sp2ps"
    if value.measured:
        return "speed" if is_latency_ratio(name) else "times"
    scale = scale_of(name)
    if scale is not None:
        return "compression" if scale.headline else OF_QUANTITY[scale.quantity]
    if "/" in name:
        return "preservation" if _is_variant(bare_name(name)) else "quality"
    return "accuracy" if value.n is not None else "cost"


def _is_variant(measure: str) -> bool:
    """Return whether a name is that of a measure of preservation and more: ``ssim_wonder``."""
    return any(compares_maps(measure[:at]) for at, c in enumerate(measure) if c == "_")


def kind_of(name: str, value: Value, family: Family) -> Kind:
    """Return how a value is written."""
    scale = scale_of(name)
    in_ms = name.partition("/")[0].endswith("_ms") if scale is None else scale.unit == "ms"
    if family in ("sp2ps", "rescaled", "preservation", "quality"):
        return "score"
    if family == "accuracy":
        return "percent"
    if family == "speed":
        return "ratio"
    if in_ms:
        return "ms"
    whole = value.mean is None or float(value.mean).is_integer() or abs(value.mean) > 1
    return "count" if whole else "score"


def title_of(name: str) -> str:
    """Return a value's name for people: ``PE score`` for ``pe_score``, without its method."""
    measure, spelling = plain(name.partition("/")[0]), declarations().spelling(name)
    words = [SPELLED.get(word) or spelling.get(word, word) for word in measure.split("_") if word]
    text = " ".join(words) or measure
    return text[:1].upper() + text[1:]


def is_part(name: str) -> bool:
    """Return whether a value is of one class alone: too many for columns, maybe hundreds."""
    scale = scale_of(name)
    return scale is not None and scale.images == "class"
