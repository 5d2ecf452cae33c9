"""Coupled channels: what must go from which layers when one filter goes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch_pruning._helpers import _HybridIndex

from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.shared_weights import find_shared_parameters
from prunebench.pruners.filters.disjoint_sets import DisjointSets

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
    with _refusing(), torch.enable_grad():
        graph = tp.DependencyGraph().build_dependency(module, (example,), verbose=False)
    for owners in find_shared_parameters(module).values():
        for (one, _), (other, key) in pairwise(owners):
            _tie(graph, one, other, inputs=key == "weight")
    # What is found out once, before anything is cut.
    graph.example, graph.couplings, graph.marked = example, None, None
    return graph


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever Torch-Pruning raises while it follows a network into a refusal."""
    try:
        yield
    except Exception as error:
        raise RequestError(
            f"Torch-Pruning cannot follow this network ({type(error).__name__}: {error}), so no "
            "channels can be removed from it; masks, such as `l1-unstructured`, need no graph"
        ) from error


def _tie(graph: Any, one: nn.Module, other: nn.Module, inputs: bool) -> None:
    """Let two layers that share weights lose the same channels."""
    if not {one, other} <= graph.module2node.keys():
        return
    nodes = graph.module2node[one], graph.module2node[other]
    for source, target in (nodes, nodes[::-1]):
        here, there = (graph.get_pruner_of_module(node.module) for node in (source, target))
        ways = [(here.prune_out_channels, there.prune_out_channels)]
        if inputs:
            ways.append((here.prune_in_channels, there.prune_in_channels))
        source.dependencies += [tp.dependency.Dependency(*way, source, target) for way in ways]


@dataclass(frozen=True)
class Coupling:
    """All channels that begin with the filters of one layer, and what goes when they go.

    Attributes:
        layer: Name of the layer.
        group: Torch-Pruning's group of all its filters.
        units: Filters that go together, each the smallest set that can go by itself.
        members: For each side of each layer, of which unit its channels are, by index.
    """

    layer: str
    group: Any
    units: tuple[tuple[int, ...], ...]
    members: dict[Side, dict[int, int]]


def find_couplings(module: nn.Module, graph: Any, fixed: Collection[str] = ()) -> list[Coupling]:
    """List the channels that can be removed as far as the dependency graph tells.

    Args:
        module: The network.
        graph: Its dependency graph.
        fixed: Names of layers whose output channels must stay. The layers whose channels are the
            network's outputs always stay.

    Raises:
        RequestError: There is no layer of a fixed name.
    """
    layers = dict(module.named_modules())
    if unknown := sorted(set(fixed) - layers.keys()):
        raise RequestError(f"no layer {unknown[0]!r}; {did_you_mean(unknown[0], layers)}")
    if graph.couplings is None:
        graph.couplings = _list_couplings(layers, graph)
    stay = {Side(layers[name], True) for name in fixed}
    return [each for each in graph.couplings if not stay & each.members.keys()]


def _list_couplings(layers: dict[str, nn.Module], graph: Any) -> list[Coupling]:
    order = {layer: index for index, layer in enumerate(layers.values())}
    names = {layer: name for name, layer in layers.items()}
    with _refusing():
        groups = [*graph.get_all_groups()]
    # In the order of the layers, so that random scores do not hang on how the graph was walked.
    ordered = sorted(groups, key=lambda group: order[group[0].dep.target.module])
    found = [
        _couple(graph, group, names[group[0].dep.target.module])
        for group in ordered
        if not _reaches_output(graph, group)
    ]
    return [coupling for coupling in found if coupling is not None]


def _reaches_output(graph: Any, group: Any) -> bool:
    return any(
        graph.is_out_channel_pruning_fn(dep.handler) and not dep.target.outputs for dep, _ in group
    )


def _couple(graph: Any, group: Any, name: str) -> Coupling | None:
    count = len(group[0].idxs)
    ties = _count_tied(group, count)
    filters = _find_filters(group)
    # Without filters of its own for every channel (what reads the input image) a group stays.
    if not ties or not filters or len(filters[0].idxs) != count:
        return None
    sets = DisjointSets(count)
    for first in range(count // ties):
        for other in range(first, count, count // ties):
            sets.unite(first, other)
    reached = _follow(group, sets)
    units = sets.list_sets()
    unit_of = {index: unit for unit, indices in enumerate(units) for index in indices}
    members: dict[Side, dict[int, int]] = {}
    for (node, handler), roots in reached.items():
        side = Side(node.module, graph.is_out_channel_pruning_fn(handler))
        if count_channels(graph, side) is not None:
            members.setdefault(side, {}).update({i: unit_of[root] for i, root in roots.items()})
    return Coupling(name, group, units, members)


def _follow(group: Any, sets: DisjointSets) -> dict[tuple[Any, Any], dict[int, int]]:
    """Follow each filter of a group to all channels that it takes along.

    Args:
        group: Torch-Pruning's, of all filters of a layer.
        sets: Of these filters; those that take the same channel along are united.

    Returns:
        By node of the dependency graph and by what removes its channels: of each channel's index,
        a filter that takes it along.
    """
    start = group[0].dep
    reached: dict[tuple[Any, Any], dict[int, int]] = {}
    waiting = [(start.target, start.handler, [_HybridIndex(i, i) for i in group[0].idxs])]
    while waiting:
        node, handler, indices = waiting.pop()
        known = reached.setdefault((node, handler), {})
        fresh = []
        for index in indices:
            if index.idx in known:
                sets.unite(known[index.idx], index.root_idx)
            else:
                known[index.idx] = index.root_idx
                fresh.append(index)
        for dep in node.dependencies if fresh else ():
            if dep.is_triggered_by(handler):
                mapped = fresh
                for mapping in dep.index_mapping:
                    mapped = mapped if mapping is None else mapping(mapped)
                waiting.append((dep.target, dep.handler, mapped))
    return reached


def list_channels(
    coupling: Coupling, importance: Callable[[Any], Tensor | None], whole_groups: bool = False
) -> Iterator[Channel]:
    """List the channels of a coupling, the least important first.

    Args:
        coupling: The coupling.
        importance: As for ``find_channels``.
        whole_groups: As for ``find_channels``.
    """
    # By default a layer's own filters speak for it, not the weights that read them.
    items = coupling.group if whole_groups else _find_filters(coupling.group)
    scores = importance(_count_once(items))
    if scores is None:
        return
    each = scores.double().nan_to_num(0).tolist()
    # Filters that go together share the mean of their scores.
    shared = [sum(each[index] for index in unit) / len(unit) for unit in coupling.units]
    cuts = _count_cuts(coupling)
    for unit in sorted(range(len(shared)), key=lambda unit: shared[unit]):
        yield Channel(coupling.layer, coupling.units[unit], dict(cuts[unit]), shared[unit])


def _find_filters(group: Any) -> list[Any]:
    return [item for item in group if item.dep.handler in FILTERS]


def _count_once(items: Any) -> Any:
    """Leave out layers whose weights are those of another one."""
    first: dict[Any, Layer] = {}
    layers = [item.dep.target.module for item in items]
    weights = [getattr(layer, "weight", None) for layer in layers]
    pairs = [(layer if w is None else w, layer) for w, layer in zip(weights, layers, strict=True)]
    owners = [first.setdefault(*pair) for pair in pairs]
    if owners == layers:
        return items
    triples = zip(items, layers, owners, strict=True)
    return [item for item, layer, owner in triples if layer is owner]


def _count_cuts(coupling: Coupling) -> list[Counter[Side]]:
    cuts: list[Counter[Side]] = [Counter() for _ in coupling.units]
    for side, unit_of in coupling.members.items():
        for unit in unit_of.values():
            cuts[unit][side] += 1
    return cuts


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


def count_channels(graph: Any, side: Side) -> int | None:
    """Count the channels on a side of a layer; None for operations without channels."""
    count = graph.get_out_channels if side.output else graph.get_in_channels
    found: int | None = count(side.layer)
    return found


def cut_out(module: nn.Module, graph: Any, channels: Collection[Channel]) -> None:
    """Remove channels from the network, physically and in place; shared weights stay shared."""
    shared = find_shared_parameters(module)
    for group in _find_groups(module, graph, channels):
        group.prune()
    for owners in shared.values():
        (first, key), *others = owners
        for layer, name in others:
            setattr(layer, name, getattr(first, key))


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
                if layer.weight is not None:
                    _zero_filters(layer, indices)
                if layer.bias is not None:
                    layer.bias[indices] = 0
                if getattr(layer, "running_mean", None) is not None and layer.weight is None:
                    layer.running_mean[indices] = 0


def _zero_filters(layer: Any, indices: Collection[int]) -> None:
    if not getattr(layer, "transposed", False):
        layer.weight[indices] = 0
        return
    # Inputs × outputs of a group, the groups in turn.
    outputs = layer.weight.shape[1]
    blocks = layer.weight.unflatten(0, (layer.groups, -1))
    for index in indices:
        blocks[index // outputs, :, index % outputs] = 0


def _find_groups(module: nn.Module, graph: Any, channels: Collection[Channel]) -> Iterator[Any]:
    gone: dict[str, list[int]] = {}
    for channel in channels:
        gone.setdefault(channel.layer, []).extend(channel.indices)
    for name, indices in gone.items():
        layer = module.get_submodule(name)
        handler = graph.get_pruner_of_module(layer).prune_out_channels
        yield graph.get_pruning_group(layer, handler, sorted(indices))
