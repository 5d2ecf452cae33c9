"""What a metric declares of each of its values, so that the rest can judge and show it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

from prunebench.errors import RequestError, did_you_mean

Quantity = Literal[
    "accuracy",
    "preservation",
    "distance",
    "quality",
    "parameters",
    "operations",
    "memory",
    "cost",
    "time",
    "latency ratio",
]
"""What a value measures.

- ``accuracy``: how often predictions are right, or agree.
- ``preservation``: how alike a map and the baseline's are, highest where the two are the same.
- ``distance``: how far a map and the baseline's are apart.
- ``quality``: how good a map is in itself.
- ``parameters``, ``operations`` (MACs, FLOPs), ``memory`` (bytes), ``time``: what a network costs;
  ``cost`` for what is none of these.
- ``latency ratio``: a time over the baseline's.
"""
COUNTS: frozenset[Quantity] = frozenset({"parameters", "operations", "memory"})
COSTS: frozenset[Quantity] = COUNTS | {"cost", "time", "latency ratio"}


@dataclass(frozen=True)
class Scale:
    """What the numbers of a value are.

    Attributes:
        quantity: What it measures.
        bounds: The lowest and the highest number there can be.
        unit: Its unit, such as ``ms``; by default the metric's ``unit``.
        whole: Whether it is a whole number, as counts are.
        each_0_or_1: Whether it is 0 or 1 for each image, so that the mean is a share of images.
        depends_on_zeros: Of a count: whether it depends on which weights are zero, and not on the
            network's shape alone.
        images: Of which explained images it is: all; some, such as those whose prediction
            flipped; or those of one class, of which there may be hundreds.
        main: Whether it does alone: a record is incomplete that has no main value of a metric.
        headline: Of a cost: whether every board shows it from the start.
    """

    quantity: Quantity
    bounds: tuple[float, float] = (-inf, inf)
    unit: str | None = None
    whole: bool = False
    each_0_or_1: bool = False
    depends_on_zeros: bool = False
    images: Literal["all", "some", "class"] = "all"
    main: bool = True
    headline: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no quantity, and bounds in the wrong order."""
        if self.quantity not in get_args(Quantity):
            known = did_you_mean(self.quantity, get_args(Quantity))
            raise RequestError(f"unknown quantity {self.quantity!r}; {known}")
        if not self.bounds[0] <= self.bounds[1]:
            raise RequestError(f"bounds {self.bounds} are not the lowest and the highest number")

    @property
    def is_cost(self) -> bool:
        """Whether it is what a network costs, rather than what it does."""
        return self.quantity in COSTS

    def describe(self, unit: str = "") -> str:
        """Return it in words: ``memory in bytes, from 0, whole``.

        Args:
            unit: The metric's, for a scale without a unit of its own.
        """
        low, high = self.bounds
        unit = unit if self.unit is None else self.unit
        in_unit = unit and unit != self.quantity
        parts = [f"{self.quantity} in {unit}" if in_unit else self.quantity]
        if high < inf:
            parts.append(f"{low:g} to {high:g}")
        elif low > -inf:
            parts.append(f"from {low:g}")
        if self.whole:
            parts.append("whole")
        if self.each_0_or_1:
            parts.append("0 or 1 for each image")
        if self.images == "some":
            parts.append("of some images")
        elif self.images == "class":
            parts.append("of one class")
        return ", ".join(parts)
