"""Weights ranked without data: the smallest ones, or random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prunebench.plugins.context import Context
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class L1Unstructured(MaskPruner):
    """Zeroes the weights of convolutions and linear layers that have the smallest magnitude."""

    key_name: ClassVar[str] = "prunebench.pruners.weights.magnitude:L1Unstructured"

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return the magnitude of each weight."""
        from prunebench.networks.prunable_layers import find_prunable_layers

        return {
            name: layer.weight.detach().abs()
            for name, layer in find_prunable_layers(network).items()
        }


class RandomUnstructured(MaskPruner):
    """Zeroes weights of convolutions and linear layers at random."""

    key_name: ClassVar[str] = "prunebench.pruners.weights.magnitude:RandomUnstructured"
    random: ClassVar[bool] = True

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return a random number for each weight."""
        import torch

        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.seeding import derive

        # Drawn on the processor, so that a GPU removes the same weights.
        generator = torch.Generator().manual_seed(derive(context.seed, "random weights"))
        return {
            name: torch.rand(layer.weight.shape, generator=generator).to(layer.weight.device)
            for name, layer in find_prunable_layers(network).items()
        }
