"""Removing channels, the least important first, until a level is reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from prunebench.networks.network import make_masks_permanent
from prunebench.plugins.context import Context
from prunebench.pruners.distribution import order_removals
from prunebench.pruners.filters.channel_budget import ChannelBudget, check_reached
from prunebench.pruners.filters.coupling import (
    Channel,
    Layer,
    Side,
    count_channels,
    cut_out,
    find_channels,
    trace,
)
from prunebench.pruners.output_check import check_outputs
from prunebench.pruners.pruner import Scope, Target

Importance = Callable[[Any], Tensor | None]
"""A group of ``torch_pruning`` in; a score for each of its channels out."""


def remove_channels(
    module: nn.Module, level: float, importance: Importance, context: Context, how: Selection
) -> nn.Module:
    """Remove channels physically, in place.

    Importance is computed once, on the intact network. Every layer keeps a channel.

    Args:
        module: The network.
        level: Fraction of the target in [0, 1) to remove; the nearest that whole channels allow.
        importance: One of ``torch_pruning.importance``, or a function like them.
        context: Its example input, fixed channels and number of classes are used, and what was
            prepared of the layers' sensitivity.
        how: How channels are chosen.

    Returns:
        The module, in evaluation mode.

    Raises:
        RequestError: The level cannot be reached without emptying a layer; the message names the
            layer and the largest level. Or the pruned network does not run.
    """
    make_masks_permanent(module)
    graph = trace(module, context.example)
    chosen = choose_channels(module, graph, level, importance, context, how)
    cut_out(module, graph, chosen)
    check_outputs(module, context.example, context.classes, "the network without these channels")
    return module


@dataclass(frozen=True)
class Selection:
    """The options by which channels are chosen.

    Attributes:
        scope: How the level is spread over the layers; see ``distribution.py``.
        rates: Relative rates by layer, in place of the scope.
        target: What the level is a fraction of: all parameters; the channels that may be removed;
            or the multiply-accumulates of convolutions and linear layers.
        whole_groups: Whether the importance sees whole groups; see ``find_channels``.
    """

    scope: Scope = "global"
    rates: Mapping[str, float] = field(default_factory=dict)
    target: Target = "params"
    whole_groups: bool = False


def choose_channels(
    module: nn.Module,
    graph: Any,
    level: float,
    importance: Importance,
    context: Context,
    how: Selection,
) -> list[Channel]:
    """Choose the channels to remove as ``remove_channels`` does, and leave the network as it is."""
    channels = find_channels(module, graph, importance, context.fixed_channels, how.whole_groups)
    costs = _count_costs(module, graph, channels, how.target, context.example)
    budget = ChannelBudget(count_by_side(graph, channels), costs)
    order = _order_channels(module, channels, context, how)
    if how.scope == "layerwise" and how.target == "channels" and not how.rates:
        chosen = budget.take_all(channel for position, channel in order if position <= level)
    else:
        chosen = budget.take_until(level, [channel for _, channel in order])
    check_reached(level, how.target, budget)
    return chosen


def count_by_side(graph: Any, channels: Iterable[Channel]) -> dict[Side, int]:
    """Count the channels of each side of a layer that loses some with these channels."""
    return {side: count_channels(graph, side) or 0 for channel in channels for side in channel.cut}


def _order_channels(
    module: nn.Module, channels: list[Channel], context: Context, how: Selection
) -> list[tuple[float, Channel]]:
    """Return the channels that may go, in the order of removal, each with its position in it."""
    by_layer: dict[str, list[Channel]] = {}
    for channel in channels:
        by_layer.setdefault(channel.layer, []).append(channel)
    positions = order_removals(
        {
            name: torch.tensor([channel.importance for channel in each], dtype=torch.float64)
            for name, each in by_layer.items()
        },
        how.scope,
        shapes={name: _shape(module.get_submodule(name)) for name in by_layer},
        rates=how.rates,
        damage=context.prepared.get("sensitivity"),
    )
    pairs = [
        (position, channel)
        for name, each in by_layer.items()
        for position, channel in zip(positions[name].tolist(), each, strict=True)
    ]
    return sorted((pair for pair in pairs if pair[0] < math.inf), key=lambda pair: pair[0])


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(layer.weight.shape)


def _count_costs(
    module: nn.Module, graph: Any, channels: Iterable[Channel], target: Target, example: Tensor
) -> dict[Layer, tuple[float, float]]:
    if target == "macs":
        return {layer: (count, 0.0) for layer, count in _count_macs(module, example).items()}
    if target == "channels":
        layers = {module.get_submodule(channel.layer) for channel in channels}
        return {layer: (0.0, count_channels(graph, Side(layer, True)) or 0) for layer in layers}
    costs: dict[Layer, tuple[float, float]] = {}
    for layer in module.modules():
        for parameter in layer.parameters(recurse=False):
            # A parameter of its own in the graph belongs to no layer that Torch-Pruning knows.
            key = parameter if parameter in graph.module2node else layer
            weights, vectors = costs.get(key, (0.0, 0.0))
            if parameter.dim() > 1:
                costs[key] = (weights + parameter.numel(), vectors)
            else:
                costs[key] = (weights, vectors + parameter.numel())
    return costs


@torch.no_grad()
def _count_macs(module: nn.Module, example: Tensor) -> dict[Layer, float]:
    """Count the multiply-accumulates of each convolution and linear layer for one input."""
    counts: dict[Layer, float] = {}

    def count(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        positions = output.numel() // channels_out(layer)
        counts[layer] = counts.get(layer, 0.0) + positions * layer.weight.numel()

    def channels_out(layer: Any) -> int:
        return int(layer.out_channels if isinstance(layer, _ConvNd) else layer.out_features)

    layers = [m for m in module.modules() if isinstance(m, _ConvNd | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        module.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
    return counts
