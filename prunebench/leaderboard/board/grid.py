"""Rule 4: the compressions at which pruners are compared, and what may be read there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Axis = Literal["dense", "masked"]

GRID: Mapping[Axis, tuple[float, ...]] = {
    "dense": (0.1, 0.2, 0.3, 0.4, 0.5),
    "masked": (0.2, 0.4, 0.6, 0.8, 0.9),
}
"""Of MACs where channels are removed, of weights where zeros stand for them."""

NEAR = 0.02
"""A compression this near a point of the grid counts as measured there."""
WIDEST_GAP = 0.21
"""The farthest that two measured compressions may be apart for a value between them to be read."""
CLOSE = 1e-9


class Point(NamedTuple):
    """What one network tells.

    Attributes:
        pruned: The fraction that it really lost.
        value: Preservation; for a network that could not be made, that of random weights.
        weight: How far it counts as accurate, in [0, 1].
    """

    pruned: float
    value: float
    weight: float


def is_of_protocol(level: float | None, round: int | None, axis: Axis) -> bool:
    """Return whether a level counts: one of the protocol's, or a round, whatever it leaves."""
    if round is not None:
        return True
    return level is not None and any(abs(level - at) <= CLOSE for at in GRID[axis])


def read_point(points: Sequence[Point], at: float) -> Point | None:
    """Read what is known at one place of the grid: measured there, or between two neighbours.

    Args:
        points: Of one pruner under one seed, ``none`` at 0 among them.
        at: The place, above 0.

    Returns:
        None beyond the last network, and in a wide gap.

    Example:
        >>> points = [Point(0, 1.0, 1), Point(0.2, 0.9, 1), Point(0.4, 0.7, 0.5)]
        >>> read_point(points, 0.3)
        Point(pruned=0.3, value=0.8, weight=0.5)
        >>> read_point(points, 0.5) is None
        True
    """
    return find_measured(points, at) or interpolate(points, at)


def find_measured(points: Sequence[Point], at: float) -> Point | None:
    """Return the network within 2 points of a place; of several the most accurate one."""
    near = [point for point in points if abs(point.pruned - at) <= NEAR + CLOSE]
    return max(near, key=lambda point: (point.weight, point.value), default=None)


def interpolate(points: Sequence[Point], at: float) -> Point | None:
    """Return what lies between two neighbours at most 21 points apart.

    It is as accurate as the less accurate of them.
    """
    left = max((p for p in points if p.pruned < at), key=_by_place, default=None)
    right = min((p for p in points if p.pruned > at), key=_by_place_first, default=None)
    if left is None or right is None or right.pruned - left.pruned > WIDEST_GAP + CLOSE:
        return None
    share = (at - left.pruned) / (right.pruned - left.pruned)
    value = left.value + share * (right.value - left.value)
    return Point(at, round(value, 12), min(left.weight, right.weight))


def _by_place(point: Point) -> tuple[float, float, float]:
    return point.pruned, point.weight, point.value


def _by_place_first(point: Point) -> tuple[float, float, float]:
    return point.pruned, -point.weight, -point.value
