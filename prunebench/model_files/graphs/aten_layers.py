"""Layers of ``torch.nn`` in place of the operators that they were before a network was exported.

Layers are what explanation methods, counts and hooks look for. Those made here hold the graph's own
tensors, and have the names that they had in the network.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from prunebench.model_files.graphs.aten_graph import (
    AtenGraph,
    bind_arguments,
    check_operators,
    name_operator,
)
from prunebench.model_files.graphs.layer_names import TENSOR, name_layers
from prunebench.model_files.graphs.safe_names import check_names, make_safe

Arguments = dict[str, Any]
"""Of a call, by name; tensors of the network in place of their nodes."""


def make_network(source: AtenGraph) -> nn.Module:
    """Make a network of layers that computes what a graph of operators computes.

    Args:
        source: The graph, which is changed.

    Returns:
        The network in evaluation mode. A module of the exported network that had layers within is
        an ``nn.Identity`` here, through which its output passes, so that it can be explained.

    Raises:
        RequestError: The graph does more than compute, or computes as in training.
    """
    graph = source.graph
    check_operators(graph)
    _restore_linear(source)
    graph.eliminate_dead_code()
    layers: dict[str, nn.Module] = {}
    names = name_layers(graph)
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        layer = _make_layer(node, source)
        if layer is None:
            _call_plainly(node)
        else:
            _call_layer(node, names.choose(node, layer, layers))
    names.mark(graph, layers)
    graph.eliminate_dead_code(is_impure_node=_works_in_place)
    return _assemble(graph, layers, source.tensors)


def _restore_linear(source: AtenGraph) -> None:
    """Undo the decomposition of linear layers into products with transposed weights."""
    aten = torch.ops.aten
    for node in source.graph.nodes:
        if node.target is not aten.addmm.default or node.kwargs:
            continue
        bias, inputs, turned = node.args
        if turned.target in (aten.t.default, aten.permute.default, aten.transpose.int):
            node.target = aten.linear.default
            node.args = (inputs, turned.args[0], bias)


def _call_layer(node: fx.Node, name: str) -> None:
    """Replace a call of an operator by one of a layer, which gives one tensor."""
    with node.graph.inserting_before(node):
        call = node.graph.call_module(name, (node.args[0],))
    call.meta = {**node.meta, KIND: name_operator(node), TENSOR: True}
    if name_operator(node) in GIVES_MORE:
        for user in list(node.users):
            user.replace_all_uses_with(call)
            node.graph.erase_node(user)
    node.replace_all_uses_with(call)
    node.graph.erase_node(node)


def _call_plainly(node: fx.Node) -> None:
    """Call the function of ``torch`` that everybody knows, where it takes the same arguments."""
    if not isinstance(node.target, OpOverload):
        return
    name = name_operator(node)
    if name in ("size", "sym_size") and len(node.args) == 2:
        node.op, node.target = "call_method", "size"
    elif name == "constant_pad_nd":
        images, around, *fill = node.args
        node.target, node.args = nn.functional.pad, (images, around, "constant", *fill)
    elif name in FUNCTIONS and not (name.endswith("_") and node.kwargs):
        node.target = FUNCTIONS[name]


def _works_in_place(node: fx.Node) -> bool:
    # A layer may; its call stays as it was in the graph.
    return node.op == "call_module" or node.is_impure()


def _assemble(
    graph: fx.Graph, layers: dict[str, nn.Module], tensors: dict[str, Tensor]
) -> nn.Module:
    """Put layers and the tensors that no layer holds into one module.

    It is no GraphModule, since these lose their hooks when they are copied.
    """
    root = nn.Module()
    for name, layer in sorted(layers.items()):  # containers before what is in them
        _attach(root, name, layer)
    for node in graph.nodes:
        if node.op == "get_attr":
            name = str(node.target)
            node.target = _keep(root, make_safe(name), tensors[name])
    check_names(graph)
    graph.lint()
    made = fx.GraphModule(root, graph)
    network = type("ConvertedNetwork", (nn.Module,), {"forward": type(made).forward})()
    for kept in ("_modules", "_parameters", "_buffers"):
        setattr(network, kept, getattr(made, kept))
    return cast(nn.Module, network.eval())


def _attach(root: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    _find_parent(root, parent).add_module(last, layer)


def _find_parent(root: nn.Module, name: str) -> nn.Module:
    at = root
    for part in name.split(".") if name else ():
        if not isinstance(getattr(at, part, None), nn.Module):
            at.add_module(part, nn.Module())
        at = cast(nn.Module, getattr(at, part))
    return at


def _keep(root: nn.Module, name: str, tensor: Tensor) -> str:
    """Hold a tensor under its name, or one like it; return which."""
    parent, _, last = name.rpartition(".")
    at = _find_parent(root, parent)
    while getattr(at, last, tensor) is not tensor:
        last += "_"
    if isinstance(tensor, nn.Parameter):
        at.register_parameter(last, tensor)
    else:
        at.register_buffer(last, tensor)
    return f"{parent}.{last}" if parent else last


# --- operators ---


def _make_layer(node: fx.Node, source: AtenGraph) -> nn.Module | None:
    """Make the layer that a call of an operator was; None where it was none."""
    name = name_operator(node)
    make = LAYERS.get(name) or LAYERS.get(name.removesuffix("_"))
    if make is None or not node.args or isinstance(source.read_tensor(node.args[0]), Tensor):
        return None
    if name in GIVES_MORE and any(user.args[1:] != (0,) for user in node.users):
        return None
    bound = list(bind_arguments(node).items())[1:]
    arguments: Arguments = {}
    for key, value in bound:
        tensor = source.read_tensor(value)
        arguments[key] = value if tensor is None else tensor
    arguments["inplace"] = name.endswith("_")
    # What is computed as the network runs is no part of a layer.
    if any(isinstance(v, fx.Node) for v in _flatten(arguments.values())):
        return None
    arguments["flat"] = _is_flat(node)
    return make(arguments)


def _flatten(values: Any) -> list[Any]:
    return [v for value in values for v in (value if isinstance(value, Sequence) else [value])]


def _is_flat(node: fx.Node) -> bool:
    """Tell whether a call's input comes from a linear layer rather than from maps."""
    at = node.args[0]
    while isinstance(at, fx.Node) and at.args:
        name = str(at.meta.get(KIND, "")) or name_operator(at)
        if name in ("linear", "addmm", "flatten"):
            return True
        if "conv" in name or "pool" in name:
            return False
        at = at.args[0]
    return False


KIND = "kind"
"""Key in a node's ``meta``: the operator that a layer was."""


def _give(layer: nn.Module, arguments: Arguments, *names: str) -> nn.Module:
    """Let a layer hold the graph's tensors."""
    for name in names:
        tensor = arguments[name]
        if isinstance(tensor, Tensor) and name in layer._parameters:
            is_kept = isinstance(tensor, nn.Parameter)
            tensor = tensor if is_kept else nn.Parameter(tensor, requires_grad=False)
        setattr(layer, name, tensor)
    return layer


def _pair(values: Any) -> Any:
    if isinstance(values, str | int):
        return values
    return tuple(values) * 2 if len(values) == 1 else tuple(values)


def _make_convolution(a: Arguments) -> nn.Module | None:
    weight = a["weight"]
    if weight.dim() != 4 or a.get("transposed"):
        return None
    out, within, *kernel = weight.shape
    layer = nn.Conv2d(
        within * a["groups"],
        out,
        tuple(kernel),
        stride=_pair(a["stride"]),
        padding=_pair(a["padding"]),
        dilation=_pair(a["dilation"]),
        groups=a["groups"],
        bias=a["bias"] is not None,
        device="meta",
    )
    return _give(layer, a, "weight", "bias")


def _make_linear(a: Arguments) -> nn.Module | None:
    out, within = a["weight"].shape
    layer = nn.Linear(within, out, bias=a["bias"] is not None, device="meta")
    return _give(layer, a, "weight", "bias")


def _make_batch_norm(a: Arguments) -> nn.Module | None:
    if a["running_mean"] is None or a["running_var"] is None:
        return None
    kind = nn.BatchNorm1d if a["flat"] else nn.BatchNorm2d
    affine = a["weight"] is not None
    if affine is not (a["bias"] is not None):
        return None
    layer = kind(len(a["running_mean"]), a["eps"], a["momentum"], affine=affine)
    return _give(layer, a, *(("weight", "bias") * affine), "running_mean", "running_var")


def _make_layer_norm(a: Arguments) -> nn.Module | None:
    if a["weight"] is None and a["bias"] is not None:
        return None
    layer = nn.LayerNorm(
        list(a["normalized_shape"]),
        a["eps"],
        elementwise_affine=a["weight"] is not None,
        bias=a["bias"] is not None,
        device="meta",
    )
    return _give(layer, a, "weight", "bias")


def _make_group_norm(a: Arguments) -> nn.Module | None:
    if a["weight"] is None or a["bias"] is None:
        return None
    layer = nn.GroupNorm(a["num_groups"], len(a["weight"]), a["eps"], device="meta")
    return _give(layer, a, "weight", "bias")


def _make_prelu(a: Arguments) -> nn.Module | None:
    return _give(nn.PReLU(a["weight"].numel(), device="meta"), a, "weight")


def _make_hardtanh(a: Arguments) -> nn.Module | None:
    low, high = a["min_val"], a["max_val"]
    if (low, high) == (0, 6):
        return nn.ReLU6(a["inplace"])
    return nn.Hardtanh(low, high, a["inplace"])


def _make_elu(a: Arguments) -> nn.Module | None:
    return nn.ELU(a["alpha"], a["inplace"]) if a["scale"] == a["input_scale"] == 1 else None


def _make_max_pool(a: Arguments) -> nn.Module | None:
    stride = _pair(a["stride"]) if a["stride"] else None
    rest = _pair(a["padding"]), _pair(a["dilation"])
    return nn.MaxPool2d(_pair(a["kernel_size"]), stride, *rest, ceil_mode=a["ceil_mode"])


def _make_average_pool(a: Arguments) -> nn.Module | None:
    return nn.AvgPool2d(
        _pair(a["kernel_size"]),
        _pair(a["stride"]) if a["stride"] else None,
        _pair(a["padding"]),
        a["ceil_mode"],
        a["count_include_pad"],
        a["divisor_override"],
    )


def _make_adaptive_pool(a: Arguments) -> nn.Module | None:
    return nn.AdaptiveAvgPool2d(_pair(a["output_size"]))


def _make_softmax(a: Arguments) -> nn.Module | None:
    return nn.Softmax(a["dim"]) if a.get("dtype") is None and not a.get("half_to_float") else None


def _make_activation(kind: Callable[[bool], nn.Module]) -> Callable[[Arguments], nn.Module]:
    return lambda a: kind(a["inplace"])


def _make_out_of_place(kind: Callable[[], nn.Module]) -> Callable[[Arguments], nn.Module | None]:
    return lambda a: None if a["inplace"] else kind()


LAYERS: dict[str, Callable[[Arguments], nn.Module | None]] = {
    "conv2d": _make_convolution,
    "convolution": _make_convolution,
    "_convolution": _make_convolution,
    "_convolution_mode": _make_convolution,
    "linear": _make_linear,
    "batch_norm": _make_batch_norm,
    "_native_batch_norm_legit_no_training": _make_batch_norm,
    "layer_norm": _make_layer_norm,
    "group_norm": _make_group_norm,
    "prelu": _make_prelu,
    "relu": _make_activation(nn.ReLU),
    "relu6": _make_activation(nn.ReLU6),
    "hardtanh": _make_hardtanh,
    "hardswish": _make_activation(nn.Hardswish),
    "hardsigmoid": _make_activation(nn.Hardsigmoid),
    "silu": _make_activation(nn.SiLU),
    "mish": _make_activation(nn.Mish),
    "selu": _make_activation(nn.SELU),
    "sigmoid": _make_out_of_place(nn.Sigmoid),
    "tanh": _make_out_of_place(nn.Tanh),
    "gelu": lambda a: None if a["inplace"] else nn.GELU(a["approximate"]),
    "elu": _make_elu,
    "leaky_relu": lambda a: nn.LeakyReLU(a["negative_slope"], a["inplace"]),
    "softplus": lambda a: nn.Softplus(a["beta"], a["threshold"]),
    "softmax": _make_softmax,
    "_softmax": _make_softmax,
    "max_pool2d": _make_max_pool,
    "max_pool2d_with_indices": _make_max_pool,
    "avg_pool2d": _make_average_pool,
    "adaptive_avg_pool2d": _make_adaptive_pool,
    "_adaptive_avg_pool2d": _make_adaptive_pool,
    "dropout": lambda a: nn.Dropout(a["p"], a["inplace"]),
    "feature_dropout": lambda a: nn.Dropout2d(a["p"], a["inplace"]),
}
"""By operator; one that works in place has a ``_`` at its end."""

GIVES_MORE = ("_native_batch_norm_legit_no_training", "max_pool2d_with_indices")
"""Operators that give a tuple, of which a layer gives the first."""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(torch, name)
    for name in (
        *("add", "cat", "chunk", "flatten", "matmul", "mean", "mul", "permute", "reshape", "split"),
        *("squeeze", "sub", "sum", "transpose", "unsqueeze"),
    )
} | {
    "_unsafe_view": torch.reshape,
    "add_": operator.iadd,
    "mul_": operator.imul,
    "sub_": operator.isub,
    "view": torch.reshape,
}
"""Functions of the same arguments that explanation methods know."""
