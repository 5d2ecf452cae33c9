"""Does the choice of explanation method change who wins? Orders of pruners, compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from prunebench.leaderboard.rank import CLOSE, Axis, by_pruner, interpolate
from prunebench.leaderboard.rows import Estimate, Row, the

LEAST_PRUNERS = 3


@dataclass(frozen=True)
class Height:
    """A pruner's value at the compression where all are compared.

    Attributes:
        value: Interpolated between its levels and the ``none`` control.
        low: Of the values' lower bounds; the value itself where there are none.
        high: Of their upper bounds.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Order:
    """The pruners by one value.

    Attributes:
        name: The value, such as ``sp2ps/grad-cam``.
        heights: By pruner, best first.
    """

    name: str
    heights: dict[str, Height]

    @property
    def leader(self) -> str:
        """The pruner with the highest value."""
        return next(iter(self.heights))

    @property
    def beside(self) -> tuple[str, ...]:
        """Other pruners whose interval overlaps the leader's."""
        low = self.heights[self.leader].low
        others = (pruner for pruner in self.heights if pruner != self.leader)
        return tuple(pruner for pruner in others if self.heights[pruner].high >= low)


@dataclass(frozen=True)
class Agreement:
    """The orders of the same pruners by several values.

    Attributes:
        axis: dense (MACs removed) or masked (weights removed).
        at: The compression at which all are compared: the largest that each of them reached.
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
        """Kendall's tau-b between two orders: 1 the same, 0 unrelated, -1 reversed.

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
        """Kendall's tau-b between each two of some orders, a symmetric matrix."""
        found = {pair: self.tau(*pair) for pair in combinations(names, 2)}
        return [
            [self.tau(a, a) if a == b else found.get((a, b), found.get((b, a))) for b in names]
            for a in names
        ]


def agree(rows: Sequence[Row], axis: Axis, names: Sequence[str]) -> Agreement | None:
    """Orders the pruners of one protocol by several values at one compression.

    Each pruner's value is a line over the compression that it really reached, from the ``none``
    control at 0 through all its levels, read as the ranking reads it; unlike there, levels that
    lost more accuracy are part of it, so that all pruners can be compared.

    Args:
        rows: Rows of one protocol, the control among them.
        axis: Which axis.
        names: Values for which more is better.

    Returns:
        None without a control, or where no two pruners can be compared.
    """
    control = the(rows, "control")
    if control is None:
        return None
    lines: dict[str, list[Row]] = {}
    left_out: dict[str, str] = {}
    names = [name for name in names if control.get(name).mean is not None]
    for pruner, levels in by_pruner(rows, axis):
        reason = _objection(levels, names)
        if reason:
            left_out[pruner] = reason
        else:
            lines[pruner] = levels
    if len(lines) < 2 or not names:
        return None
    at = min(max(row.removed() for row in levels) for levels in lines.values())
    orders = []
    for name in names:
        heights = {pruner: _height(control, rows, name, at) for pruner, rows in lines.items()}
        best = sorted(heights, key=lambda pruner: (-heights[pruner].value, pruner))
        orders.append(Order(name, {pruner: heights[pruner] for pruner in best}))
    return Agreement(axis, at, tuple(sorted(lines)), tuple(orders), left_out)


def _objection(levels: Sequence[Row], names: Iterable[str]) -> str | None:
    if max(row.removed() for row in levels) <= CLOSE:
        return "nothing is removed on this axis"
    for row in levels:
        if row.missing:
            return f"a level has {row.seeds} seeds"
    for name in names:
        if any(row.get(name).mean is None for row in levels):
            return f"a level has no {name}"
    return None


def _height(control: Row, levels: Sequence[Row], name: str, at: float) -> Height:
    xs = [0.0, *(row.removed() for row in levels)]
    values = [row.get(name) for row in (control, *levels)]
    value, low, high = (
        interpolate(xs, [_bound(each, side) for each in values], [at])[0]
        for side in ("mean", "low", "high")
    )
    return Height(value, low, high)


def _bound(value: Estimate, side: str) -> float:
    found = {"mean": value.mean, "low": value.low, "high": value.high}[side]
    return found if found is not None else value.mean or 0.0


def leaders(orders: Iterable[Order]) -> dict[str, tuple[str, ...]]:
    """Who leads by which values: most often first, then by name."""
    led: dict[str, list[str]] = {}
    for order in orders:
        led.setdefault(order.leader, []).append(order.name)
    return {pruner: tuple(led[pruner]) for pruner in sorted(led, key=lambda p: (-len(led[p]), p))}


def in_words(taus: Sequence[float]) -> str:
    """How well orders agree, by the least of their Kendall's tau-b."""
    least = min(taus, default=math.nan)
    if least >= 0.8:
        return "nearly the same"
    if least >= 0.5:
        return "similar"
    return "partly different" if least >= 0.2 else "very different"
