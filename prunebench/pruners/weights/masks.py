"""Masks of zeros over the weights of convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.errors import RequestError
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers


def mask_lowest(
    module: nn.Module, level: float, order: Mapping[str, Tensor], *, layerwise: bool = False
) -> dict[str, Tensor]:
    """Make masks of the weights that come first in an order of removal.

    Args:
        module: The network; weights that are zero already count as removed and stay removed.
        level: Fraction of all prunable weights that is zero afterwards, to the nearest weight.
        order: Of each prunable layer, its weights' positions: the lowest go first; at infinity
            weights stay.
        layerwise: Removes the level's fraction of each layer by itself.

    Returns:
        Of each prunable layer, its mask: 1 where a weight stays, 0 where it goes. Layers that
        share their weights have one mask, by the order of the first.

    Raises:
        RequestError: The level is more than the weights that may go.
    """
    layers = find_prunable_layers(module)
    first: dict[Tensor, str] = {}
    owners = {name: first.setdefault(layer.weight, name) for name, layer in layers.items()}
    masks: dict[str, Tensor] = {}
    for pool in [[name] for name in first.values()] if layerwise else [list(first.values())]:
        zeros = torch.cat([layers[name].weight.detach().flatten() == 0 for name in pool])
        positions = torch.cat([order[name].detach().flatten().double() for name in pool])
        positions[zeros] = -torch.inf
        count = max(round(level * len(positions)), int(zeros.sum()))
        if count > (most := int((positions < torch.inf).sum())):
            raise RequestError(
                f"cannot remove {level:.1%} of the weights: the layers that 'rates' names hold "
                f"{most / len(positions):.1%} of them"
            )
        kept = torch.ones_like(positions, dtype=torch.bool)
        kept[positions.argsort(stable=True)[:count]] = False
        sizes = [layers[name].weight.numel() for name in pool]
        for name, part in zip(pool, torch.split(kept, sizes), strict=True):
            weight = layers[name].weight
            masks[name] = part.view_as(weight).to(weight.dtype)
    return {name: masks[owner] for name, owner in owners.items()}


def apply_layer_masks(module: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """Put masks on layers' weights, in place, as torch.nn.utils.prune does."""
    make_masks_permanent(module)
    for name, mask in masks.items():
        prune.custom_from_mask(  # type: ignore[no-untyped-call]
            module.get_submodule(name), "weight", mask
        )
    return module


def refuse_collapse(module: nn.Module, masks: Mapping[str, Tensor], level: float) -> None:
    """Refuse masks that leave nothing of a layer, so that no image reaches the outputs.

    Raises:
        RequestError: It names the layer.
    """
    for name, layer in find_prunable_layers(module).items():
        if not masks[name].any() and layer.weight.any():
            raise RequestError(
                f"removing {level:.1%} of the weights would leave none in layer {name!r} (layer "
                "collapse); a lower level or `scope: layerwise` keeps every layer"
            )


def mask_zeros(module: nn.Module) -> dict[str, Tensor]:
    """Make masks, by parameter name, of the prunable weights of which some are exactly zero."""
    weights = {
        f"{name}.weight": layer.weight for name, layer in find_prunable_layers(module).items()
    }
    return {
        name: (weight != 0).to(weight.dtype)
        for name, weight in weights.items()
        if bool((weight == 0).any())
    }
