"""Weights ranked by their share of their layer: LAMP."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prunebench.plugins.context import Context
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Lamp(MaskPruner):
    """Zeroes the weights whose squares are least beside the larger ones of their layer.

    Layer-adaptive magnitude-based pruning (Lee, Park, Mo, Ahn and Shin 2021, equation 6). A
    layer's largest weight has the score 1, whatever the layer, so no layer loses all its weights
    before all others are down to one.
    """

    key_name: ClassVar[str] = "prunebench.pruners.weights.lamp:Lamp"

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return each squared weight over the sum of squares from it to the largest, in [0, 1]."""
        from prunebench.networks.prunable_layers import find_prunable_layers

        return {
            name: _compute_shares(layer.weight)
            for name, layer in find_prunable_layers(network).items()
        }


def _compute_shares(weight: Tensor) -> Tensor:
    import torch

    squares, order = weight.detach().double().square().flatten().sort(stable=True)
    from_here = squares.flip(0).cumsum(0).flip(0)
    shares = torch.zeros_like(squares)
    # Zeros have no share, also where there is nothing else.
    shares[order] = torch.where(squares > 0, squares / from_here, squares)
    return shares.view_as(weight)
