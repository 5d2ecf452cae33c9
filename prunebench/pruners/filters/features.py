"""What each filter makes of an image: its feature map, after normalisation and activation."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from prunebench.cams.twin import twin
from prunebench.errors import RequestError
from prunebench.pruners.filters.channels import Importance
from prunebench.pruners.weights.masking import prunable_layers

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh),
    *(nn.Sigmoid, nn.Softplus, nn.PReLU, nn.Mish),
)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)
PASSING = (*NORMALISATIONS, nn.Dropout, nn.Dropout2d, nn.Identity)
"""Modules that leave every channel in its place."""

ACTIVATION_CALLS = (
    *(F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_", F.relu6, F.leaky_relu, F.elu),
    *(F.gelu, F.silu, F.hardswish, torch.tanh, torch.sigmoid, F.softplus, F.mish),
)
PASSING_CALLS = (operator.add, operator.iadd, torch.add, "add", "add_", F.dropout)
"""Calls that leave every channel in its place; a sum, if both sides are feature maps."""


@dataclass(frozen=True)
class Features:
    """One pass of a network with the feature maps of its layers.

    Attributes:
        logits: B×K.
        maps: Of each layer, by name: B×C×h×w of a convolution, B×C of a linear layer.
    """

    logits: Tensor
    maps: Mapping[str, Tensor]


class FeatureReader:
    """Runs a network and reads the feature map of every convolution and hidden linear layer.

    A filter's feature map is what the filter makes of an image once the channel-by-channel steps
    after it are done: normalisation, the sum with a shortcut, up to the first activation. So in a
    residual block the second convolution's maps are those after the addition (as HRank reads
    them), and a convolution followed by nothing of the kind is read as it is.

    Args:
        module: The network; it is left as it is, and its weights are not copied.
        gradients: Whether ``read`` keeps what is needed to differentiate by the maps.

    Raises:
        RequestError: torch.fx cannot follow the network's code.
    """

    def __init__(self, module: nn.Module, *, gradients: bool = False) -> None:
        copied = twin(module, trained=gradients)
        try:
            self._graph = fx.GraphModule(copied, fx.Tracer().trace(copied))
        except Exception as error:  # the network's code can fail under symbolic values in any way
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"torch.fx cannot follow the code of {type(module).__name__} to its feature "
                f"maps: {reason}"
            ) from error
        self._graph.eval()
        self._gradients = gradients
        self._layers = _feature_nodes(self._graph)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that are read."""
        return tuple(self._layers)

    def read(self, inputs: Tensor) -> Features:
        """Runs the network on normalised inputs, B×C×H×W, in evaluation mode.

        Where gradients are wanted, ``torch.autograd.grad(score, list(features.maps.values()))``
        gives them.
        """
        reading = _Reading(self._graph, set(self._layers.values()))
        with torch.set_grad_enabled(self._gradients):
            logits = reading.run(inputs)
        maps = {name: reading.found[node] for name, node in self._layers.items()}
        return Features(logits, maps)


class _Reading(fx.Interpreter):
    """Carries a graph out and keeps what some of its nodes give."""

    def __init__(self, graph: fx.GraphModule, wanted: set[fx.Node]) -> None:
        super().__init__(graph)
        self.wanted = wanted
        self.found: dict[fx.Node, Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node not in self.wanted:
            return value
        self.found[node] = value
        return value.clone()  # what follows may work in place


def _feature_nodes(graph: fx.GraphModule) -> dict[str, fx.Node]:
    """Of each layer that has filters and is called once: the node that gives its feature maps."""
    layers = prunable_layers(graph)
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module" and str(node.target) in layers:
            calls.setdefault(str(node.target), []).append(node)
    found = {name: _followed(nodes[0], graph) for name, nodes in calls.items() if len(nodes) == 1}
    outputs = {each for node in graph.graph.nodes if node.op == "output" for each in node.args}
    return {name: node for name, node in found.items() if node not in outputs}


def _followed(node: fx.Node, graph: fx.GraphModule) -> fx.Node:
    while len(node.users) == 1:
        user = next(iter(node.users))
        if _is_activation(user, graph):
            return user
        if not _passes(user, graph):
            return node
        node = user
    return node


def _is_activation(node: fx.Node, graph: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), ACTIVATIONS)
    return node.op in ("call_function", "call_method") and node.target in ACTIVATION_CALLS


def _passes(node: fx.Node, graph: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), PASSING)
    return node.op in ("call_function", "call_method") and node.target in PASSING_CALLS


def pairs(
    reader: FeatureReader, batches: Iterator[tuple[Tensor, Tensor]]
) -> Iterator[tuple[Features, Tensor]]:
    """Reads batch after batch.

    Yields:
        The features, and the labels.
    """
    for inputs, labels in batches:
        yield reader.read(inputs), labels


def scored(scores: Mapping[str, Tensor], module: nn.Module) -> Importance:
    """An importance from scores of filters that were computed beforehand.

    Args:
        scores: Of each layer, by name, a score for each of its channels, C.
        module: The network whose layers bear these names.

    Returns:
        The importance: filters that go together have the mean of their scores; where none of
        them was scored, they stay.
    """
    names = {layer: name for name, layer in module.named_modules()}

    def importance(group: Any) -> Tensor | None:
        found = [
            scores[name].cpu().double()[torch.tensor(item.idxs)]
            for item in group
            if (name := names.get(item.dep.target.module, "")) in scores
        ]
        return torch.stack(found).mean(0) if found else None

    return importance
