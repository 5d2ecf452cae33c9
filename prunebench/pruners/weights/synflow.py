"""Weights ranked, without data, by the flow that passes through them: SynFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context
from prunebench.pruners.weights.initial_pruner import InitialPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class SynFlow(InitialPruner):
    """Zeroes weights, a few at a time, that the least of all paths' flow passes through.

    Iterative synaptic flow pruning (Tanaka, Kunin, Yamins and Ganguli 2020). What flows into a
    hidden unit flows out of it, so that a layer of few weights has high scores, and it is not
    emptied while another layer has weights to lose.
    """

    key_name: ClassVar[str] = "prunebench.pruners.weights.synflow:SynFlow"

    rounds: int = Field(100, ge=1, description="rounds in which the level is reached")

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return the share of the synaptic flow that passes through each weight, in [0, 1]."""
        from prunebench.pruners.weights.synaptic_flow import compute_synaptic_flow

        return compute_synaptic_flow(network, context.example.shape)

    def masks(self, network: nn.Module, level: float, context: Context) -> dict[str, Tensor]:
        """Make the masks of a level, by layer name; after k of n rounds (1−level)^(k/n) is left."""
        import copy

        import torch

        from prunebench.networks.prunable_layers import find_prunable_layers

        pruned = copy.deepcopy(network)
        masks: dict[str, Tensor] = {}
        for k in range(1, self.rounds + 1):
            # Exactly the level in the end: a power of the exponent 1 would be rounded.
            reached = level if k == self.rounds else 1 - (1 - level) ** (k / self.rounds)
            masks = super().masks(pruned, reached, context)
            with torch.no_grad():
                for name, layer in find_prunable_layers(pruned).items():
                    layer.weight.mul_(masks[name])
            context.progress(k / self.rounds, f"round {k} of {self.rounds}")
        return masks
