"""The channels left in each layer while some are taken, and the cost that this removes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from prunebench.errors import RequestError
from prunebench.pruners.filters.coupling import Channel, Layer, Side
from prunebench.pruners.pruner import Target


class ChannelBudget:
    """The channels left in each layer while some are taken, and the cost that this removes.

    A weight matrix or kernel shrinks with both sides of its layer, a bias with its output side.

    Args:
        channels: How many channels each side of each layer has.
        costs: What each layer costs: that of its weights, and that of its biases and the like.

    Attributes:
        removed: The fraction of the cost that is gone.
        exhausted: Whether there was nothing left to take before the level was reached.
        blocked: Layers that are down to their last channel, which was asked for.
    """

    def __init__(self, channels: dict[Side, int], costs: dict[Layer, tuple[float, float]]) -> None:
        self._whole = channels
        self._left = dict(channels)
        self._costs = costs
        self._total = sum(map(sum, costs.values()))
        self.removed = 0.0
        self.exhausted = False
        self.blocked: list[str] = []

    def take_until(self, level: float, order: Iterable[Channel]) -> list[Channel]:
        """Take channels in this order until the fraction removed is as near the level as it can.

        A layer's last channel is passed over.
        """
        taken: list[Channel] = []
        for channel in order:
            if self.removed >= level:
                break
            before = self.removed
            if self._take(channel, 1):
                if level - before < self.removed - level:
                    self._take(channel, -1)
                    break
                taken.append(channel)
        else:
            self.exhausted = self.removed < level
        return taken

    def take_all(self, order: Iterable[Channel]) -> list[Channel]:
        """Take all these channels but a layer's last."""
        taken = [channel for channel in order if self._take(channel, 1)]
        self.exhausted = bool(self.blocked)
        return taken

    def _take(self, channel: Channel, times: int) -> bool:
        if any(self._left[side] <= times * count for side, count in channel.cut.items()):
            self.blocked.append(channel.layer)
            return False
        layers = dict.fromkeys(side.layer for side in channel.cut)
        before = sum(map(self._cost, layers))
        for side, count in channel.cut.items():
            self._left[side] -= times * count
        self.removed += (before - sum(map(self._cost, layers))) / self._total
        return True

    def _cost(self, layer: Layer) -> float:
        weights, vectors = self._costs.get(layer, (0.0, 0.0))
        return (weights * self._share(layer, False) + vectors) * self._share(layer, True)

    def _share(self, layer: Layer, output: bool) -> float:
        side = Side(layer, output)
        return self._left[side] / self._whole[side] if side in self._whole else 1.0


def check_reached(
    level: float, target: Target, budget: ChannelBudget, whole: Collection[str] = ()
) -> None:
    """Refuse a level for which there was too little to take.

    Args:
        level: The fraction asked for.
        target: Of what.
        budget: What was taken.
        whole: Layers from which nothing can be taken, which the message names.

    Raises:
        RequestError: The budget ran out more than 0.01 below the level; the message names the layer
            that would be emptied and the largest level.
    """
    if not budget.exhausted or level - budget.removed <= 0.01:
        return
    kept = f"; the network needs all channels of {_name_some(whole)}" if whole else ""
    if not budget.blocked:
        held = f"at most {budget.removed:.1%} of them" if budget.removed else "no layer's channels"
        raise RequestError(
            f"cannot remove {level:.1%} of the {target}: {held} may be removed{kept}"
        )
    raise RequestError(
        f"cannot remove {level:.1%} of the {target}: layer {_name_some(budget.blocked)} would be "
        f"left without channels; at most {budget.removed:.1%} can be removed{kept}"
    )


def _name_some(layers: Iterable[str]) -> str:
    first, *others = dict.fromkeys(layers)
    return f"{first!r}{f' and {len(others)} more' if others else ''}"
