"""A penalty on whole groups of weights, the stronger the smaller the group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.plugins.context import Context
from prunebench.pruners.filters.channel_sums import READERS
from prunebench.pruners.filters.coupling import trace
from prunebench.pruners.filters.removable import find_channels


@dataclass(frozen=True)
class GroupedParameter:
    """Where one parameter belongs to the channels of a group.

    Attributes:
        parameter: The parameter.
        side: The dimension along which its entries belong to different channels.
        indices: Indices along that dimension, n.
        channels: The group's channel that each of them belongs to, n.
    """

    parameter: nn.Parameter
    side: int
    indices: Tensor
    channels: Tensor

    def sum_squares(self) -> Tensor:
        """Sum the squares at each index, n."""
        squares = self.parameter.detach().square().transpose(0, self.side)
        return squares.reshape(len(squares), -1).sum(1)[self.indices]

    def pull(self, strength: Tensor) -> None:
        """Add to the gradient, of each channel, its strength times the weights."""
        if self.parameter.grad is None:
            return
        shape = [1] * self.parameter.dim()
        shape[self.side] = -1
        along = self.parameter.new_zeros(self.parameter.shape[self.side])
        along[self.indices] = strength[self.channels]
        self.parameter.grad.add_(self.parameter.detach() * along.view(shape))


class GroupPenalty:
    """The gradient of Σ_k λ_k·‖w_k‖²/2 over the channels k that can be removed from a network.

    w_k are all weights that go with the channel: those of its filters, the scales of their
    normalisation, and the weights that read it. How strong λ_k is depends on how small the
    channel is beside the others of its layer, u_k = (I_max − I_k) / (I_max − I_min), where I_k is
    the norm of w_k (Fang, Ma, Song, Mi and Wang 2023).

    What reads a channel through a convolution with groups is not counted among its weights.

    Args:
        network: The network that will be trained; it is left as it is.
        context: Its example input and fixed channels are used.
    """

    def __init__(self, network: nn.Module, context: Context) -> None:
        self._groups: list[tuple[int, list[GroupedParameter]]] = []

        def collect(group: Any) -> Tensor:
            parts = [part for item in group if (part := _find_grouped(item)) is not None]
            self._groups.append((len(group[0].idxs), parts))
            return torch.zeros(len(group[0].idxs))

        graph = trace(network, context.example)
        find_channels(network, graph, collect, context.fixed_channels, whole_groups=True)

    @torch.no_grad()
    def add(self, strength: Callable[[Tensor], Tensor]) -> None:
        """Add the penalty's gradient to that of the network.

        Args:
            strength: λ from u, of each channel of a layer; u is 0 for its strongest, 1 for its
                weakest, and 0 for all if they are equal.
        """
        for count, parts in self._groups:
            norms = self._norms(count, parts)
            spread = norms.max() - norms.min()
            smallness = (norms.max() - norms) / spread.clamp(min=torch.finfo(norms.dtype).tiny)
            for part in parts:
                part.pull(strength(smallness))

    def _norms(self, count: int, parts: list[GroupedParameter]) -> Tensor:
        total = parts[0].parameter.new_zeros(count)
        for part in parts:
            total.index_add_(0, part.channels, part.sum_squares())
        return total.sqrt()


def _find_grouped(item: Any) -> GroupedParameter | None:
    layer = item.dep.target.module
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, nn.Parameter):
        return None
    reads = item.dep.handler in READERS
    side = int(weight.dim() > 1 and reads != bool(getattr(layer, "transposed", False)))
    # Where groups of channels share it, no entry along this side belongs to one channel.
    if weight.shape[side] <= max(item.idxs):
        return None
    device = weight.device
    return GroupedParameter(
        weight,
        side,
        torch.tensor(item.idxs, device=device),
        torch.tensor(item.root_idxs, device=device),
    )
