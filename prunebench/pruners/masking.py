"""Masks of zeros over the weights of convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import prune

from prunebench.network import make_masks_permanent


def prunable_layers(module: nn.Module) -> dict[str, _ConvNd | nn.Linear]:
    """The convolutions and linear layers of a network, whose weights may be masked, by name."""
    layers = module.named_modules()
    return {name: layer for name, layer in layers if isinstance(layer, _ConvNd | nn.Linear)}


def mask_lowest(
    module: nn.Module,
    level: float,
    *,
    scope: Literal["global", "layerwise"],
    score: Callable[[Tensor], Tensor],
) -> nn.Module:
    """Masks the weights with the lowest scores, in place.

    Args:
        module: The network; weights that are zero already count as removed and stay removed.
        level: Fraction of all prunable weights that is zero afterwards, to the nearest weight.
        scope: One ranking over all layers, or one in each layer.
        score: Gives each weight of a tensor its score, above 0.

    Returns:
        The module, with masks as torch.nn.utils.prune leaves them.
    """
    make_masks_permanent(module)
    layers = list(prunable_layers(module).values())
    scores = {layer: _score(layer.weight, score) for layer in layers}
    for group in [layers] if scope == "global" else [[layer] for layer in layers]:
        sizes = [scores[layer].numel() for layer in group]
        zeros = sum(int((scores[layer] == 0).sum()) for layer in group)
        prune.global_unstructured(
            [(layer, "weight") for layer in group],
            pruning_method=prune.L1Unstructured,
            importance_scores={(layer, "weight"): scores[layer] for layer in group},
            amount=max(round(level * sum(sizes)), zeros),
        )
    return module


@torch.no_grad()
def _score(weight: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.where(weight == 0, 0.0, score(weight).to(weight))


def masks_of_zeros(module: nn.Module) -> dict[str, Tensor]:
    """Masks, by parameter name, of the prunable weights among which some are exactly zero."""
    weights = {f"{name}.weight": layer.weight for name, layer in prunable_layers(module).items()}
    return {
        name: (weight != 0).to(weight.dtype)
        for name, weight in weights.items()
        if bool((weight == 0).any())
    }
