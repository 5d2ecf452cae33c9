"""Removing channels, the least important first, until a level is reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.counting import count_macs, count_total_macs
from prunebench.networks.network import make_masks_permanent
from prunebench.plugins.context import Context
from prunebench.pruners.distribution import order_removals
from prunebench.pruners.filters.channel_budget import ChannelBudget, check_reached
from prunebench.pruners.filters.coupling import (
    Channel,
    Layer,
    Side,
    count_channels,
    trace,
)
from prunebench.pruners.filters.removable import cut_and_compare, find_channels, find_whole_layers
from prunebench.pruners.output_check import check_outputs
from prunebench.pruners.pruner import Scope, Target

MISSED = 0.01
"""Largest difference between the fraction that was chosen and the one that the cut network lost."""

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
    expected = predict_removed(module, graph, chosen, how.target, context)
    cut_and_check(module, graph, chosen, expected, how.target, context)
    return module


def predict_removed(
    module: nn.Module, graph: Any, chosen: Sequence[Channel], target: Target, context: Context
) -> float:
    """Return the fraction of the target that goes with channels, by what each layer loses."""
    costs = _count_costs(module, graph, chosen, target, context.example)
    budget = ChannelBudget(count_by_side(graph, chosen), costs)
    budget.take_all(chosen)
    return budget.removed


def cut_and_check(
    module: nn.Module,
    graph: Any,
    chosen: Sequence[Channel],
    expected: float,
    target: Target,
    context: Context,
) -> None:
    """Cut chosen channels out, physically and in place, and look at what is left.

    Args:
        module: The network.
        graph: Its dependency graph.
        chosen: The channels, as from ``choose_channels``.
        expected: The fraction of the target that should go with them.
        target: What the level is a fraction of.
        context: Its example input and number of classes are used.

    Raises:
        RequestError: The network does not run any more, reads other channels than before, or lost
            another part of the target than that for which the channels were chosen.
    """
    before = _count_whole(module, target, context.example)
    cut_and_compare(module, graph, chosen)
    check_outputs(module, context.example, context.classes, "the network without these channels")
    if target == "channels":
        return  # compared one by one
    reached = 1 - _count_whole(module, target, context.example) / before
    if abs(reached - expected) > MISSED:
        raise RequestError(
            f"channels of {expected:.1%} of the {target} were chosen, and without them the network "
            f"has {reached:.1%} less: it holds weights that hang on channels in an unknown way; "
            "another `target` or masks (such as `l1-unstructured`) can be counted"
        )


def _count_whole(module: nn.Module, target: Target, example: Tensor) -> float:
    if target == "macs":
        return count_total_macs(module, example)
    return sum(parameter.numel() for parameter in module.parameters())


@dataclass(frozen=True)
class Selection:
    """The options by which channels are chosen.

    Attributes:
        scope: How the level is spread over the layers; see ``distribution.py``.
        rates: Relative rates by layer, in place of the scope.
        target: What the level is a fraction of: all parameters; the channels that may be removed;
            or the network's multiply-accumulates.
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
    whole = find_whole_layers(module, graph, context.fixed_channels)
    check_reached(level, how.target, budget, whole)
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
        layers = dict(module.named_modules())
        return {layers[name]: (n, 0.0) for name, n in count_macs(module, example).items()}
    if target == "channels":
        own = {module.get_submodule(channel.layer) for channel in channels}
        return {layer: (0.0, count_channels(graph, Side(layer, True)) or 0) for layer in own}
    costs: dict[Layer, tuple[float, float]] = {}
    counted: set[nn.Parameter] = set()
    for layer in module.modules():
        for parameter in layer.parameters(recurse=False):
            if parameter in counted:
                continue  # shared with another layer, which loses the same channels
            counted.add(parameter)
            # A parameter of its own in the graph belongs to no layer that Torch-Pruning knows.
            key = parameter if parameter in graph.module2node else layer
            weights, vectors = costs.get(key, (0.0, 0.0))
            if parameter.dim() > 1:
                costs[key] = (weights + parameter.numel(), vectors)
            else:
                costs[key] = (weights, vectors + parameter.numel())
    return costs
