"""Orders of pruners by a value, and the pairs that two of them reverse beyond noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunebench.leaderboard.board.grid import CLOSE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Height:
    """A pruner's value at the compression where all are compared.

    Attributes:
        value: Interpolated between its levels and the ``none`` control.
        low: Of the values' lower bounds; the value itself where there are none.
        high: Of their upper bounds.
        bounded: Whether all these values have an interval over seeds.
    """

    value: float
    low: float
    high: float
    bounded: bool = True


@dataclass(frozen=True)
class Order:
    """The pruners by one value.

    Attributes:
        name: The value, such as ``sp2ps/grad-cam``; between protocols, what each is called.
        heights: By pruner, best first.
    """

    name: str
    heights: dict[str, Height]

    @property
    def leader(self) -> str:
        """The pruner with the highest value."""
        return next(iter(self.heights))

    def separates(self, better: str, worse: str) -> bool:
        """Return whether one pruner's 95% interval over seeds lies above another's."""
        one, other = self.heights[better], self.heights[worse]
        return one.bounded and other.bounded and one.low > other.high + CLOSE

    @property
    def tied(self) -> tuple[str, ...]:
        """Other pruners that are not told apart from the leader."""
        others = (pruner for pruner in self.heights if pruner != self.leader)
        return tuple(pruner for pruner in others if not self.separates(self.leader, pruner))


@dataclass(frozen=True)
class Swaps:
    """The pairs of pruners that two orders separate, and those that they reverse.

    Attributes:
        separated: Pairs whose 95% intervals overlap in neither order.
        reversed: Separated pairs of which each order prefers the other pruner.
        moved: The pruners of reversed pairs, in the first order's order.
    """

    separated: int
    reversed: int
    moved: tuple[str, ...]


def count_swaps(first: Order, second: Order) -> Swaps:
    """Count the pairs of pruners that two orders both separate, and those that they reverse.

    A pruner without intervals over seeds is separated from none. Memory is linear in the pruners.

    Args:
        first: An order.
        second: An order of the same pruners.
    """
    pruners = list(first.heights)
    low, high = _bounds(first, pruners)
    other_low, other_high = _bounds(second, pruners)
    same = swapped = 0
    moved = np.zeros(len(pruners), dtype=bool)
    for index in range(len(pruners)):
        above = low[index] > high + CLOSE
        below = above & (other_high[index] < other_low - CLOSE)
        same += int(np.count_nonzero(above & (other_low[index] > other_high + CLOSE)))
        if below.any():
            swapped += int(np.count_nonzero(below))
            moved |= below
            moved[index] = True
    names = tuple(pruner for pruner, is_moved in zip(pruners, moved, strict=True) if is_moved)
    return Swaps(same + swapped, swapped, names)


def _bounds(order: Order, pruners: list[str]) -> tuple[Floats, Floats]:
    heights = [order.heights[pruner] for pruner in pruners]
    low = [height.low if height.bounded else -math.inf for height in heights]
    high = [height.high if height.bounded else math.inf for height in heights]
    return np.array(low), np.array(high)
