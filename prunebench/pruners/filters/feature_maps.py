"""What each filter makes of an image: its feature map, after normalisation and activation."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd
from torchvision.ops import stochastic_depth

from prunebench.errors import RequestError
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.networks.shared_weights import make_twin
from prunebench.pruners.filters.channels import Importance

ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh),
    *(nn.Sigmoid, nn.Softplus, nn.PReLU, nn.Mish, nn.CELU, nn.SELU, nn.Hardsigmoid, nn.Hardtanh),
)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
PASSING = (*NORMALISATIONS, nn.Dropout, nn.Dropout2d, nn.Identity)
"""Modules that leave every channel in its place."""

ACTIVATION_CALLS = (
    *(F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_", F.relu6, F.leaky_relu, F.elu),
    *(F.gelu, F.silu, F.hardswish, F.softplus, F.mish, F.celu, F.selu, F.hardtanh, F.prelu),
    *(F.hardsigmoid, F.tanh, torch.tanh, "tanh", F.sigmoid, torch.sigmoid, "sigmoid"),
)
PASSING_CALLS = (
    *(operator.add, operator.iadd, torch.add, "add", "add_", F.batch_norm, F.group_norm),
    *(F.dropout, F.dropout2d, stochastic_depth),
)
"""Calls that leave every channel in its place; a sum, if both sides are feature maps."""

ASKING_CALLS = (getattr, torch._assert, "size", "dim", "numel")
"""Calls that ask a tensor for its shape and the like: they use no feature map."""

PIXELS = 2**21
"""Numbers in the images of a batch, at most: bounds the memory that feature maps take."""


@dataclass(frozen=True)
class Features:
    """One pass of a network with the feature maps of its layers.

    Attributes:
        logits: B×K.
        maps: Of each layer, by name: B×C×h×w of a convolution, B×C of a linear layer (B×C×..., if
            it works on more than one position of an image).
    """

    logits: Tensor
    maps: Mapping[str, Tensor]

    def differentiate(self, score: Tensor) -> dict[str, Tensor]:
        """Derive a score, such as a sum of logits, by every layer's feature maps.

        Args:
            score: A scalar that was computed from the logits. It can be derived once: what the
                pass kept for it is freed.

        Returns:
            The gradients by layer name, of the maps' shapes; zeros where a layer has no part.
        """
        found = torch.autograd.grad(score, list(self.maps.values()), materialize_grads=True)
        return dict(zip(self.maps, found, strict=True))


class FeatureReader:
    """Runs a network and reads the feature map of every convolution and hidden linear layer.

    A filter's feature map is what the filter makes of an image once the channel-by-channel steps
    after it are done: normalisation, the sum with a shortcut, up to the first activation. So in a
    residual block the second convolution's maps are those after the addition (as HRank reads
    them), and a convolution followed by nothing of the kind is read as it is. A layer that is
    called more than once is not read.

    Args:
        module: The network; it is left as it is, and its weights are not copied. Masks of
            torch.nn.utils.prune are heeded.
        gradients: Whether ``read`` keeps what is needed to differentiate by the maps.

    Raises:
        RequestError: torch.fx cannot follow the network's code.
    """

    def __init__(self, module: nn.Module, *, gradients: bool = False) -> None:
        copied = make_twin(module, trained=gradients)
        make_masks_permanent(copied)
        try:
            self._graph = fx.GraphModule(copied, _FilterTracer().trace(copied))
        except Exception as error:  # the network's code can fail under symbolic values in any way
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"torch.fx cannot follow the code of {type(module).__name__} to its feature "
                f"maps: {reason}"
            ) from error
        self._graph.eval()
        self._gradients = gradients
        self._layers = _find_feature_nodes(self._graph)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that are read."""
        return tuple(self._layers)

    def read(self, inputs: Tensor) -> Features:
        """Run the network on normalised inputs, B×C×H×W, in evaluation mode.

        Where gradients are wanted, ``features.differentiate(score)`` gives them.
        """
        layers = {node: self._graph.get_submodule(name) for name, node in self._layers.items()}
        reading = _MapReader(self._graph, layers)
        with torch.set_grad_enabled(self._gradients):
            logits = reading.run(inputs)
        maps = {name: reading.found[node] for name, node in self._layers.items()}
        return Features(logits, maps)


class _FilterTracer(fx.Tracer):
    """Follows the network's code, but takes each layer with filters as one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        # Convolutions of other libraries, such as those with padding of their own, too.
        layer = isinstance(m, _ConvNd | nn.Linear)
        return layer or super().is_leaf_module(m, module_qualified_name)


class _MapReader(fx.Interpreter):
    """Carries a graph out and keeps what some of its nodes give."""

    def __init__(self, graph: fx.GraphModule, layers: Mapping[fx.Node, nn.Module]) -> None:
        super().__init__(graph)
        self.layers = layers
        self.found: dict[fx.Node, Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        if node not in self.layers:
            return value
        # Linear layers have their channels last. What goes on is made from what is kept, so that
        # gradients reach it, and is a copy: what follows may work in place.
        last = value.dim() > 2 and isinstance(self.layers[node], nn.Linear)
        self.found[node] = kept = value.movedim(-1, 1) if last else value
        return (kept.movedim(1, -1) if last else kept).clone()


def _find_feature_nodes(graph: fx.GraphModule) -> dict[str, fx.Node]:
    """Find the node that gives the feature maps of each layer with filters that is called once."""
    layers = find_prunable_layers(graph)
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module" and str(node.target) in layers:
            calls.setdefault(str(node.target), []).append(node)
    found = {name: _follow(nodes[0], graph) for name, nodes in calls.items() if len(nodes) == 1}
    outputs = set(next(iter(reversed(graph.graph.nodes))).all_input_nodes)
    return {name: node for name, node in found.items() if node not in outputs}


def _follow(node: fx.Node, graph: fx.GraphModule) -> fx.Node:
    while len(users := [user for user in node.users if user.target not in ASKING_CALLS]) == 1:
        if _is_one_of(users[0], ACTIVATIONS, ACTIVATION_CALLS, graph):
            return users[0]
        if not _is_one_of(users[0], PASSING, PASSING_CALLS, graph):
            return node
        node = users[0]
    return node


def _is_one_of(
    node: fx.Node, modules: tuple[type, ...], calls: tuple[Any, ...], graph: fx.GraphModule
) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), modules)
    return node.op in ("call_function", "call_method") and node.target in calls


def choose_batch_size(example: Tensor) -> int:
    """Choose how many images to read at a time: 128 of 32×32 in colour, 13 of 224×224.

    Args:
        example: One input, 1×C×H×W.
    """
    return max(1, min(128, PIXELS // example[0].numel()))


def make_importance(scores: Mapping[str, Tensor], module: nn.Module) -> Importance:
    """Make an importance from scores of filters that were computed beforehand.

    Args:
        scores: Of each layer, by name, a score for each of its channels, C.
        module: The network whose layers bear these names.

    Returns:
        The importance: filters that go together have the mean of their scores; where none of
        them was scored, they stay.
    """
    names = {layer: name for name, layer in module.named_modules()}

    def importance(group: Any) -> Tensor | None:
        count = len(group[0].idxs)
        sums, times = torch.zeros(2, count, dtype=torch.float64)
        for item in group:
            if (name := names.get(item.dep.target.module, "")) in scores:
                # A layer may have some of the group's channels only, or see them reordered.
                channels = torch.tensor(item.root_idxs)
                found = scores[name].cpu().double()[torch.tensor(item.idxs)]
                sums.index_add_(0, channels, found)
                times.index_add_(0, channels, torch.ones_like(found))
        if not times.any():
            return None
        return torch.where(times > 0, sums / times, torch.inf)

    return importance
