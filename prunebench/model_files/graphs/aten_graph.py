"""A network as a flat graph of PyTorch's own operators (ATen), whatever file it came from."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from prunebench.errors import RequestError

PATH = "path"
"""Key in a node's ``meta``: the dotted name of the module whose code made the call."""
NAME = "name"
"""Key in a node's ``meta``: a layer's name, where its weights tell it and no module does."""
NAMESPACES = ("aten", "prims", "torchvision", "quantized_decomposed")
"""Of operators that compute and do nothing else."""
WITH_FILES = ("from_file", "save", "load")
"""Operators of ATen that read or write files."""
PYTHON = (
    *(operator.getitem, operator.add, operator.sub, operator.mul, operator.floordiv, operator.neg),
    *(operator.truediv, operator.mod, operator.pow, torch.sym_int, torch.sym_max, torch.sym_min),
)
"""Functions of numbers, such as sizes."""
DROPOUT = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")


@dataclass(frozen=True)
class AtenGraph:
    """A graph of operators and the tensors that it uses.

    Attributes:
        graph: One placeholder, the images; ``get_attr`` nodes whose target is a key of
            ``tensors``; calls of operators, each with its module's name in ``meta[PATH]``.
        tensors: Parameters and buffers by the names that they had in the network, as far as the
            file tells.
    """

    graph: fx.Graph = field(default_factory=fx.Graph)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def read_tensor(self, node: Any) -> Tensor | None:
        """Return the tensor that a node stands for; None where it is computed."""
        if isinstance(node, fx.Node) and node.op == "get_attr":
            return self.tensors[str(node.target)]
        return None


def bind_arguments(node: fx.Node) -> dict[str, Any]:
    """Return a call's arguments by the names of the operator's schema, with their defaults."""
    assert isinstance(node.target, OpOverload)
    arguments = node.target._schema.arguments
    given = dict(zip((a.name for a in arguments), node.args, strict=False)) | node.kwargs
    return {
        a.name: given.get(a.name, a.default_value)
        for a in arguments
        if a.name in given or a.has_default_value()
    }


def name_operator(node: fx.Node) -> str:
    """Return the name of the operator that a node calls, without its namespace and overload."""
    if isinstance(node.target, OpOverload):
        return str(node.target._schema.name).rpartition("::")[2]
    return getattr(node.target, "__name__", str(node.target))


def check_operators(graph: fx.Graph) -> None:
    """Refuse operators that do more than compute, or that compute as in training.

    Raises:
        RequestError: Naming the operator.
    """
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        if not isinstance(node.target, OpOverload):
            if node.target not in PYTHON:
                raise RequestError(f"calls {node.target}, which is no operator that computes")
            continue
        name = name_operator(node)
        if node.target.namespace not in NAMESPACES or name in WITH_FILES:
            raise RequestError(f"calls {node.target}, which does more than compute")
        if _is_training(node, name):
            raise RequestError(
                f"was exported in training mode ({name} of {node.meta.get(PATH) or 'the network'} "
                "computes as in training); call model.eval() before it is exported"
            )


def _is_training(node: fx.Node, name: str) -> bool:
    arguments = bind_arguments(node)
    if name in DROPOUT:
        return bool(arguments.get("train")) and arguments["p"] != 0
    follows = arguments.get("running_mean") is not None
    learns = arguments.get("training", arguments.get("train", name == "_native_batch_norm_legit"))
    return "batch_norm" in name and follows and bool(learns) and "no_training" not in name


def free_batch(graph: fx.Graph, batch: int) -> None:
    """Let a graph that was exported for batches of one size take batches of any.

    What it makes of a batch is then checked by ``check_logits``.

    Args:
        graph: The graph, which is changed.
        batch: Size of the batches that it was exported for.
    """
    aten = torch.ops.aten
    images = next(node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(images):
        size = graph.call_function(aten.sym_size.int, (images, 0))
    computed = {images}
    for node in list(graph.nodes):
        if computed.isdisjoint(node.all_input_nodes):
            continue
        computed.add(node)
        name = name_operator(node) if node.op == "call_function" else ""
        if name in ("reshape", "view", "_unsafe_view", "expand"):
            sizes: Any = node.args[1]
            if sizes and sizes[0] == batch:
                node.update_arg(1, [size, *sizes[1:]])
        elif name == "cat":
            parts: Any = node.args[0]
            with graph.inserting_before(node):
                node.update_arg(0, [p if p in computed else _repeat(p, size) for p in parts])


def _repeat(constant: fx.Node, size: fx.Node) -> fx.Node:
    """Repeat a constant, such as a class token, for each image."""
    graph, aten = constant.graph, torch.ops.aten
    first = graph.call_function(aten.slice.Tensor, (constant, 0, 0, 1))
    return graph.call_function(aten.repeat_interleave.self_int, (first, size, 0))
