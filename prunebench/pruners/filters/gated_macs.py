"""Multiply-accumulates as a function of gates, and the gates to close for a level of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.networks.counting import count_macs
from prunebench.pruners.filters.channel_budget import ChannelBudget, check_reached
from prunebench.pruners.filters.channels import count_by_side
from prunebench.pruners.filters.coupling import Channel, Layer, Side


class GatedMacs:
    """The multiply-accumulates of a gated network, differentiable by its gates.

    A layer's cost is its whole cost times the open share of its inputs times the open share of
    its outputs. With gates that are open or closed, this is what remains when the channels of the
    closed ones are removed. What a network multiplies outside of its layers, such as attention,
    counts in full.

    Args:
        module: The network; it is left as it is.
        graph: Its dependency graph.
        channels: Each has a gate, in this order.
        example: An input; its first image is used.
        counted: The part of the network whose layers are counted; all of it by default.

    Attributes:
        whole: Multiply-accumulates for one image with all gates open.
    """

    def __init__(
        self,
        module: nn.Module,
        graph: Any,
        channels: Sequence[Channel],
        example: Tensor,
        counted: nn.Module | None = None,
    ) -> None:
        layers = dict(module.named_modules())
        inside = set((module if counted is None else counted).modules())
        macs = {layers[name]: count for name, count in count_macs(module, example).items()}
        self._costs: dict[Layer, tuple[float, float]] = {
            layer: (float(count), 0.0) for layer, count in macs.items() if layer in inside
        }
        self._channels = list(channels)
        self._sizes = count_by_side(graph, channels)
        self.whole = sum(count for layer, count in macs.items() if layer in inside)
        # Channels that cut the same need only be counted.
        kinds: dict[frozenset[tuple[Side, int]], int] = {}
        kind_of = [kinds.setdefault(frozenset(c.cut.items()), len(kinds)) for c in channels]
        device = example.device
        self._kind_of = torch.tensor(kind_of, dtype=torch.long, device=device)
        self._lost = self._compute_lost_shares(map(dict, kinds)).to(device)
        self._macs = self._lost.new_tensor([count for count, _ in self._costs.values()])

    def _compute_lost_shares(self, cuts: Iterable[Mapping[Side, int]]) -> Tensor:
        """Compute the share that each side of each layer loses with each cut.

        Returns:
            (2·layers)×cuts, float64; first the inputs of all layers, then their outputs.
        """
        sides = [Side(layer, output) for output in (False, True) for layer in self._costs]
        lost = [
            [cut[side] / self._sizes[side] if side in cut else 0.0 for side in sides]
            for cut in cuts
        ]
        return torch.tensor(lost, dtype=torch.float64).view(-1, len(sides)).T.contiguous()

    def __call__(self, values: Tensor) -> Tensor:
        """Compute the multiply-accumulates for one image.

        Args:
            values: Of each gate, from 0 (closed) to 1 (open), n.

        Returns:
            A float64 scalar, differentiable by the values.
        """
        if values.shape != self._kind_of.shape:
            raise ValueError(f"expected {len(self._kind_of)} gates, found {tuple(values.shape)}")
        closed = torch.zeros_like(self._lost[0]).index_add(0, self._kind_of, 1 - values.double())
        inputs, outputs = (1 - self._lost @ closed).view(2, -1)
        macs: Tensor = (self._macs * inputs * outputs).sum()
        return macs

    def close_to(self, level: float, logits: Tensor) -> Tensor:
        """Close gates, the lowest logits first, until a level of the multiply-accumulates is gone.

        Args:
            level: The fraction of ``whole`` to be gone, in [0, 1); the nearest that whole channels
                allow. Every layer keeps a channel.
            logits: Of each gate, n. What they would open by themselves does not matter.

        Returns:
            Which gates are open, n, Boolean.

        Raises:
            RequestError: The level cannot be reached without emptying a layer; the message names
                the layer and the largest level.
        """
        budget = ChannelBudget(self._sizes, self._costs)
        order = logits.detach().argsort(stable=True).tolist()
        taken = budget.take_until(level, (self._channels[gate] for gate in order))
        check_reached(level, "macs", budget)
        gone = {(channel.layer, channel.indices) for channel in taken}
        opened = [(channel.layer, channel.indices) not in gone for channel in self._channels]
        return torch.tensor(opened, device=logits.device)
