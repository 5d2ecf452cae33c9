"""Weights ranked by the loss's sensitivity to their connections: SNIP."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context
from prunebench.pruners.weights.initial_pruner import InitialPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Snip(InitialPruner):
    """Zeroes the weights whose connections the loss of one mini-batch is least sensitive to.

    Single-shot network pruning (Lee, Ajanthan and Torr 2019).
    """

    key_name: ClassVar[str] = "prunebench.pruners.weights.snip:Snip"
    random: ClassVar[bool] = True

    per_class: int = Field(10, ge=1, description="images of each class in the mini-batch")

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return the sensitivity to each connection, equations 5 and 6: they add up to 1."""
        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.pruners.weights.derivatives import compute_gradient, draw_balanced_batches

        slopes = compute_gradient(network, draw_balanced_batches(context, self.per_class))
        # By a factor c before a weight w, at c = 1, the loss changes as w times its gradient.
        sensitivity = {
            name: (layer.weight.detach() * slopes[name]).abs().double()
            for name, layer in find_prunable_layers(network).items()
        }
        total = sum(float(each.sum()) for each in sensitivity.values()) or 1.0
        return {name: each / total for name, each in sensitivity.items()}
