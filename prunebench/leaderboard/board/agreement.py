"""Does the choice of explanation method change who wins? Orders of pruners, compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from prunebench.leaderboard.board.grid import CLOSE, GRID, Axis, Point, read_point
from prunebench.leaderboard.board.orders import Height, Order, Swaps, count_swaps
from prunebench.leaderboard.board.rows import (
    Estimate,
    Row,
    explain_undefined,
    find_role,
    is_over_seeds,
)
from prunebench.leaderboard.board.score import group_by_pruner

__all__ = [
    "LEAST_PRUNERS",
    "Order",
    "OrderAgreement",
    "compare_orders",
    "compare_orders_between",
    "describe_taus",
    "list_leaders",
]

LEAST_PRUNERS = 3


@dataclass(frozen=True)
class OrderAgreement:
    """The orders of the same pruners by several values.

    Attributes:
        axis: dense (MACs removed) or masked (weights removed).
        at: The compression at which all are compared: the largest of the grid that all cover.
        pruners: Those compared, by name.
        orders: One for each value.
        left_out: Pruners that cannot be compared, with the reason.
    """

    axis: Axis
    at: float
    pruners: tuple[str, ...]
    orders: tuple[Order, ...]
    left_out: dict[str, str]

    def tau(self, first: str, second: str) -> float | None:
        """Return Kendall's tau-b of two orders: 1 the same, 0 unrelated, -1 reversed.

        Returns:
            None with fewer than three pruners, or where a value is the same for all.
        """
        from scipy.stats import kendalltau

        by_name = {order.name: order.heights for order in self.orders}
        if len(self.pruners) < LEAST_PRUNERS:
            return None
        ranks = [[by_name[name][p].value for p in self.pruners] for name in (first, second)]
        if any(np.ptp(values) <= CLOSE for values in ranks):
            return None
        return float(kendalltau(*ranks).statistic)

    def taus(self, names: Sequence[str]) -> list[list[float | None]]:
        """Return Kendall's tau-b between each two of some orders, a symmetric matrix."""
        found = {pair: self.tau(*pair) for pair in combinations(names, 2)}
        return [
            [self.tau(a, a) if a == b else found.get((a, b), found.get((b, a))) for b in names]
            for a in names
        ]

    def swaps(self, first: str, second: str) -> Swaps:
        """Count the pairs of pruners that both orders separate, and those that they reverse."""
        return count_swaps(self.order(first), self.order(second))

    def order(self, name: str) -> Order:
        """Return the order of this name."""
        return next(order for order in self.orders if order.name == name)


@dataclass(frozen=True)
class _Side:
    """What orders are read from: the control, and the rows of each pruner by compression."""

    control: Row
    lines: dict[str, list[Row]]


def compare_orders(
    rows: Sequence[Row],
    axis: Axis,
    names: Sequence[str],
    *,
    undefined: float = 1.0,
    least: int = 2,
) -> OrderAgreement | None:
    """Order the pruners of one protocol by several values at one compression.

    Each pruner's value is read at the largest compression of the grid that the levels of all of
    them cover, by the grid's rule; unlike in a score, levels that lost accuracy count as they are,
    so that all pruners can be compared.

    Args:
        rows: Rows of one protocol, the control among them.
        axis: Which axis.
        names: Values for which more is better.
        undefined: A pruner with a value that is not defined on a larger share of images, in
            [0, 1], is left out.
        least: Pruners that it takes.

    Returns:
        None without a control, or where fewer pruners than ``least`` can be compared.
    """
    side = _make_side(rows, axis)
    if side is None:
        return None
    known = [name for name in names if side.control.get(name).mean is not None]
    return _make_agreement(axis, {name: (side, name) for name in known}, undefined, least)


def compare_orders_between(
    sections: Mapping[str, Sequence[Row]],
    axis: Axis,
    name: str,
    *,
    undefined: float = 1.0,
    least: int = 2,
) -> OrderAgreement | None:
    """Order the pruners of several protocols by the same value at one compression.

    Args:
        sections: Rows of each protocol, the control among them, by what its order is called. It is
            up to the caller that a pruner's rows are the same networks in all of them.
        axis: Which axis.
        name: The value, for which more is better.
        undefined: As for ``agree``.
        least: As for ``agree``.

    Returns:
        As ``agree``; None also where a control has no such value.
    """
    sides = {title: _make_side(rows, axis) for title, rows in sections.items()}
    found = {
        title: (side, name)
        for title, side in sides.items()
        if side is not None and side.control.get(name).mean is not None
    }
    if len(found) < len(sections):
        return None
    return _make_agreement(axis, found, undefined, least)


def _make_side(rows: Sequence[Row], axis: Axis) -> _Side | None:
    control = find_role(rows, "control")
    return None if control is None else _Side(control, dict(group_by_pruner(rows, axis)))


def _make_agreement(
    axis: Axis, values: Mapping[str, tuple[_Side, str]], undefined: float, least: int
) -> OrderAgreement | None:
    """Order by each value the pruners that can be compared in all of them."""
    if not values:
        return None
    sides = list({id(side): side for side, _ in values.values()}.values())
    left_out: dict[str, str] = {}
    pruners: list[str] = []
    for pruner in sides[0].lines:
        reason = _find_objection(pruner, values.values(), undefined)
        if reason:
            left_out[pruner] = reason
        else:
            pruners.append(pruner)
    if len(pruners) < least:
        return None
    at = _find_place(axis, sides, pruners)
    if at is None:
        return None
    orders = []
    for title, (side, name) in values.items():
        heights = {p: _find_height(side.control, side.lines[p], name, at) for p in pruners}
        best = sorted(heights, key=lambda pruner: (-heights[pruner].value, pruner))
        orders.append(Order(title, {pruner: heights[pruner] for pruner in best}))
    return OrderAgreement(axis, at, tuple(sorted(pruners)), tuple(orders), left_out)


def _find_place(axis: Axis, sides: Iterable[_Side], pruners: Sequence[str]) -> float | None:
    """Return the largest compression of the grid that all lines cover."""
    lines = [
        [Point(0.0, 0.0, 1.0), *(Point(row.pruned, 0.0, 1.0) for row in side.lines[pruner])]
        for side in sides
        for pruner in pruners
    ]
    return max((at for at in GRID[axis] if all(read_point(one, at) for one in lines)), default=None)


def _find_objection(
    pruner: str, values: Iterable[tuple[_Side, str]], undefined: float
) -> str | None:
    for side, name in values:
        levels = side.lines.get(pruner)
        if not levels:
            return "it was not measured everywhere"
        if max(row.pruned for row in levels) <= CLOSE:
            return "nothing is removed on this axis"
        for row in levels:
            if row.missing:
                return f"a level has {row.seeds} seeds"
            value = row.get(name)
            if value.mean is None:
                return f"a level has no {name}"
            if value.undefined > undefined:
                return f"at a level {name} is {explain_undefined(row, value)}"
    return None


def _find_height(control: Row, levels: Sequence[Row], name: str, at: float) -> Height:
    rows = (control, *levels)
    estimates = [row.get(name) for row in rows]

    def read(side: str) -> float:
        points = [
            Point(0.0 if row is control else row.pruned, _bound(each, side), 1.0)
            for row, each in zip(rows, estimates, strict=True)
        ]
        found = read_point(points, at)
        return found.value if found else math.nan

    bounded = all(is_over_seeds(each) for each in estimates)
    return Height(read("mean"), read("low"), read("high"), bounded)


def _bound(value: Estimate, side: str) -> float:
    found = {"mean": value.mean, "low": value.low, "high": value.high}[side]
    return found if found is not None else value.mean or 0.0


def list_leaders(orders: Iterable[Order]) -> dict[str, tuple[str, ...]]:
    """Return the leading pruners with the values by which they lead, most values first."""
    led: dict[str, list[str]] = {}
    for order in orders:
        led.setdefault(order.leader, []).append(order.name)
    return {pruner: tuple(led[pruner]) for pruner in sorted(led, key=lambda p: (-len(led[p]), p))}


def describe_taus(taus: Sequence[float]) -> str:
    """Say in two words how well orders agree, by the lowest of their Kendall's tau-b."""
    least = min(taus, default=math.nan)
    if least >= 0.8:
        return "nearly the same"
    if least >= 0.5:
        return "similar"
    return "partly different" if least >= 0.2 else "very different"
