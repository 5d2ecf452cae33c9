"""Coupled channels: what must go from which layers when one filter goes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from prunebench.errors import RequestError, did_you_mean

# A parameter stands for itself where it belongs to no layer that Torch-Pruning knows.
Layer = nn.Module | nn.Parameter


class Side(NamedTuple):
    """The input or the output channels of a layer."""

    layer: Layer
    output: bool


@dataclass(frozen=True)
class Channel:
    """The smallest thing that can be removed: one filter and all that is coupled to it.

    Attributes:
        layer: Name of the layer whose filter it is.
        indices: The filter; or, in convolutions with groups, one filter of every group.
        cut: How many channels each side of each layer loses with it.
        importance: The channels with the lowest go first.
    """

    layer: str
    indices: tuple[int, ...]
    cut: dict[Side, int]
    importance: float


def trace(module: nn.Module, example: Tensor) -> Any:
    """Follow one input through the network and return Torch-Pruning's dependency graph.

    Raises:
        RequestError: Torch-Pruning does not understand the network.
    """
    try:
        with torch.enable_grad():
            return tp.DependencyGraph().build_dependency(module, (example,), verbose=False)
    except Exception as error:
        raise RequestError(
            f"Torch-Pruning cannot follow this network ({type(error).__name__}: {error}); "
            "prune it with masks instead"
        ) from error


def find_channels(
    module: nn.Module,
    graph: Any,
    importance: Callable[[Any], Tensor | None],
    fixed: Collection[str],
    whole_groups: bool = False,
) -> list[Channel]:
    """List every channel that can be removed from a network.

    Args:
        module: The network.
        graph: Its dependency graph.
        importance: One of ``torch_pruning.importance``, or a function like them: a group in, a
            score for each of its channels out, or None where the group must stay.
        whole_groups: Whether it sees the whole group: the filters that are coupled, their
            normalisation and the weights that read them. By default, the coupled filters alone.
        fixed: Names of layers whose output channels must stay. The layers whose channels are the
            network's outputs always stay.

    Raises:
        RequestError: There is no layer of a fixed name.
    """
    layers = dict(module.named_modules())
    if unknown := sorted(set(fixed) - layers.keys()):
        raise RequestError(f"no layer {unknown[0]!r}; {did_you_mean(unknown[0], layers)}")
    order = {layer: index for index, layer in enumerate(layers.values())}
    names = {layer: name for name, layer in layers.items()}
    groups = graph.get_all_groups(ignored_layers=[layers[name] for name in fixed])
    found: list[Channel] = []
    # In the order of the layers, so that random scores do not hang on how the graph was walked.
    for group in sorted(groups, key=lambda group: order[group[0].dep.target.module]):
        if not _reaches_output(graph, group):
            name = names[group[0].dep.target.module]
            found.extend(_list_channels(graph, group, importance, name, whole_groups))
    return found


def _reaches_output(graph: Any, group: Any) -> bool:
    return any(
        graph.is_out_channel_pruning_fn(dep.handler) and not dep.target.outputs for dep, _ in group
    )


def _list_channels(
    graph: Any,
    group: Any,
    importance: Callable[[Any], Tensor | None],
    name: str,
    whole_groups: bool,
) -> Iterator[Channel]:
    count = len(group[0].idxs)
    ties = _count_tied(group, count)
    # By default a layer's own filters speak for it, not the weights that read them.
    filters = [item for item in group if item.dep.handler in FILTERS]
    # Without filters of its own for every channel (what reads the input image) a group stays.
    if not ties or not filters or len(filters[0].idxs) != count:
        return
    scores = importance(group if whole_groups else filters)
    if scores is None:
        return
    # Filters that go together share the mean of their scores.
    shared = scores.double().nan_to_num(0).view(ties, -1).mean(0).tolist()
    cuts = _count_cuts(graph, group)
    step = count // ties
    for first in sorted(range(step), key=lambda index: shared[index]):
        indices = tuple(range(first, count, step))
        cut = sum((cuts.get(index, Counter()) for index in indices), Counter[Side]())
        yield Channel(name, indices, dict(cut), shared[first])


FILTERS = (tp.prune_conv_out_channels, tp.prune_linear_out_channels)
OF_OUTPUTS = (
    *FILTERS,
    tp.prune_depthwise_conv_out_channels,
    tp.prune_batchnorm_out_channels,
    tp.prune_layernorm_out_channels,
    tp.prune_groupnorm_out_channels,
)
"""What removes the parameters behind a layer's outputs."""


def _count_tied(group: Any, count: int) -> int:
    """Count the filters that grouped layers tie together; 0 if the group must stay."""
    ties = 1
    for dep, indices in group:
        layer = dep.target.module
        depthwise = isinstance(layer, _ConvNd) and layer.groups == layer.out_channels
        groups = getattr(layer, "num_groups", 1 if depthwise else getattr(layer, "groups", 1))
        # Groups that span several coupled layers (after a concatenation) are not taken apart.
        if groups > 1 and len(indices) != count:
            return 0
        ties = math.lcm(ties, groups)
    return ties if count % ties == 0 else 0


def _count_cuts(graph: Any, group: Any) -> dict[int, Counter[Side]]:
    cuts: dict[int, Counter[Side]] = {}
    for item in group:
        side = Side(item.dep.target.module, graph.is_out_channel_pruning_fn(item.dep.handler))
        if count_channels(graph, side) is not None:
            for root in item.root_idxs:
                cuts.setdefault(root, Counter())[side] += 1
    return cuts


def count_channels(graph: Any, side: Side) -> int | None:
    """Count the channels on a side of a layer; None for operations without channels."""
    count = graph.get_out_channels if side.output else graph.get_in_channels
    found: int | None = count(side.layer)
    return found


def cut_out(module: nn.Module, graph: Any, channels: Collection[Channel]) -> None:
    """Remove channels from the network, physically and in place."""
    for group in _find_groups(module, graph, channels):
        group.prune()


@torch.no_grad()
def silence(module: nn.Module, graph: Any, channels: Collection[Channel]) -> None:
    """Set channels to zero, in place: their filters, biases and normalisation.

    Without parameters of its own, a normalisation is told that the channel's mean is 0: it would
    make something else than 0 of a filter of zeros.
    """
    for group in _find_groups(module, graph, channels):
        for dep, indices in group:
            layer = dep.target.module
            if dep.handler in OF_OUTPUTS:
                for parameter in (layer.weight, layer.bias):
                    if parameter is not None:
                        parameter[indices] = 0
                if getattr(layer, "running_mean", None) is not None and layer.weight is None:
                    layer.running_mean[indices] = 0


def _find_groups(module: nn.Module, graph: Any, channels: Collection[Channel]) -> Iterator[Any]:
    gone: dict[str, list[int]] = {}
    for channel in channels:
        gone.setdefault(channel.layer, []).extend(channel.indices)
    for name, indices in gone.items():
        layer = module.get_submodule(name)
        handler = graph.get_pruner_of_module(layer).prune_out_channels
        yield graph.get_pruning_group(layer, handler, sorted(indices))
