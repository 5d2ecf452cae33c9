"""Sums over the channels of a number that is known for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

READERS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


def sum_by_channel(module: nn.Module, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sum numbers of single parameters over the channels of their layers.

    Args:
        module: The network.
        values: By parameter name, a number for each entry, of the parameter's shape.

    Returns:
        ``out/LAYER``: of each output channel of a layer (or channel of a normalisation), the sum
        over its weights and its bias. ``in/LAYER``: of each input channel of a convolution or
        linear layer, the sum over the weights that read it.
    """
    sums: dict[str, Tensor] = {}
    for name, layer in module.named_modules():
        own = {key: values.get(f"{name}.{key}".removeprefix(".")) for key in ("weight", "bias")}
        weight, bias = own["weight"], own["bias"]
        if weight is None:
            continue
        if isinstance(layer, _ConvNd | nn.Linear):
            outputs, sums[f"in/{name}"] = _sum_sides(layer, weight)
        elif isinstance(layer, _NormBase | nn.GroupNorm | nn.LayerNorm):
            outputs = weight
        else:
            continue
        sums[f"out/{name}"] = outputs if bias is None else outputs + bias
    return sums


def _sum_sides(layer: _ConvNd | nn.Linear, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the output and over the input channels of a kernel, whose groups lie in turn."""
    groups = getattr(layer, "groups", 1)
    blocks = values.view(groups, values.shape[0] // groups, values.shape[1], -1)
    first, second = blocks.sum((2, 3)).flatten(), blocks.sum((1, 3)).flatten()
    return (second, first) if getattr(layer, "transposed", False) else (first, second)


def sum_by_group(
    sums: Mapping[str, Tensor], module: nn.Module, reads: Callable[[Any], bool] = lambda item: True
) -> Callable[[Any], Tensor | None]:
    """Return a function that sums what belongs to each channel of a group, over all its layers.

    Args:
        sums: As from ``sum_by_channel``; or several of them stacked, m×channels.
        module: The network whose layers bear these names.
        reads: Which items of a group count; all by default.

    Returns:
        A function of a group that gives the sums of its channels, n (or m×n); None where no item
        counts.
    """
    names = {layer: name for name, layer in module.named_modules()}

    def total(group: Any) -> Tensor | None:
        found: Tensor | None = None
        for item in filter(reads, group):
            name = names.get(item.dep.target.module)
            values = sums.get(f"{'in' if item.dep.handler in READERS else 'out'}/{name}")
            if values is None:
                continue
            if found is None:
                found = values.new_zeros(*values.shape[:-1], len(group[0].idxs))
            indices = torch.tensor(item.root_idxs, device=values.device)
            found.index_add_(-1, indices, values[..., item.idxs])
        return found

    return total
