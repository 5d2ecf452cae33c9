"""The part of a network that follows its target layer, cut out so that it can run alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from weakref import WeakKeyDictionary

from torch import Tensor, fx, nn

Tail = Callable[[Tensor], Tensor]

# Held weakly: a network that is dropped takes its tails with it.
_tails: WeakKeyDictionary[nn.Module, dict[nn.Module, fx.GraphModule | None]] = WeakKeyDictionary()


def tail(module: nn.Module, layer: nn.Module) -> Tail | None:
    """Cuts out what follows the last call of a layer.

    The tail shares the network's layers and weights. It is found once for a network and layer.

    Args:
        module: The network, in evaluation mode.
        layer: The target layer, a part of it.

    Returns:
        Activations b×C×h×w in, logits b×K out; None where the rest of the network depends on
        something else as well (a residual connection around the layer, the input's shape), or
        where torch.fx cannot follow the network's code.
    """
    known = _tails.setdefault(module, {})
    if layer not in known:
        known[layer] = _cut(module, layer)
    return known[layer]


def forget(module: nn.Module) -> None:
    """Forgets the tails of a network, which has changed since they were cut."""
    _tails.pop(module, None)


class _Tracer(fx.Tracer):
    """Follows the network's code but treats the target layer as one step."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._layer = layer

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m is self._layer or super().is_leaf_module(m, module_qualified_name)


def _cut(module: nn.Module, layer: nn.Module) -> fx.GraphModule | None:
    tracer = _Tracer(layer)
    try:
        nodes = list(tracer.trace(module).nodes)
    except Exception:  # the network's code can fail under symbolic values in any way
        return None
    calls = [
        position
        for position, node in enumerate(nodes)
        if node.op == "call_module" and module.get_submodule(cast(str, node.target)) is layer
    ]
    if not calls:
        return None
    graph = fx.Graph()
    copies = {nodes[calls[-1]]: graph.placeholder("activations")}
    constants = [node for node in nodes[: calls[-1]] if node.op == "get_attr"]
    # Every later step is kept, even one whose result nobody reads: it may work in place.
    for node in constants + nodes[calls[-1] + 1 :]:
        if any(needed not in copies for needed in node.all_input_nodes):
            return None
        copies[node] = graph.node_copy(node, lambda needed: copies[needed])
    graph.eliminate_dead_code(_has_effect)
    return fx.GraphModule(module, graph)


def _has_effect(node: fx.Node) -> bool:
    return node.op != "get_attr"


def agrees(cut: Tail, activations: Tensor, logits: Tensor) -> bool:
    """Whether a tail turns activations b×C×h×w into these logits b×K of the whole network."""
    try:
        found: Any = cut(activations)
        scale = logits.abs().max().clamp(min=1e-6)
        return bool((found - logits).abs().max() <= 1e-3 * scale)
    except Exception:  # its layers have changed in any way
        return False
