"""How far a median of timed pairs may be off, from the times alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from prunebench.intervals import median_interval
from prunebench.record import Times

FEWEST = 6
"""Even all of five times span the median with less than 95%: 1 - 2·2⁻⁵."""


class Spread(NamedTuple):
    """A median and the order statistics around it that cover it with at least 95%."""

    low: float
    median: float
    high: float

    @property
    def half(self) -> float:
        """How far the median may be off, to the farther side."""
        return max(self.high - self.median, self.median - self.low)


def spread(numbers: Sequence[float]) -> Spread | None:
    """Return the median with its distribution-free 95% interval; None for too few numbers."""
    if len(numbers) < FEWEST:
        return None
    low, high = median_interval(numbers)
    return Spread(low, median(numbers), high)


def ratios(times: Times) -> list[float]:
    """Return the network's time over the baseline's, of each pair."""
    return [after / before for before, after in zip(times.baseline, times.network, strict=True)]
