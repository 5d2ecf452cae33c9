"""A network with every step a module of its own, for methods that hook modules."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.utils import parametrize

from prunebench.errors import RequestError
from prunebench.networks.classifier import Whole
from prunebench.networks.shared_weights import make_twin

NON_LINEAR: dict[Any, tuple[type[nn.Module], tuple[str, ...]]] = {
    **dict.fromkeys(
        (F.relu, torch.relu, F.relu_, torch.relu_, "relu", "relu_"), (nn.ReLU, ("inplace",))
    ),
    F.relu6: (nn.ReLU6, ("inplace",)),
    F.leaky_relu: (nn.LeakyReLU, ("negative_slope", "inplace")),
    F.elu: (nn.ELU, ("alpha", "inplace")),
    F.softplus: (nn.Softplus, ("beta", "threshold")),
    **dict.fromkeys((F.tanh, torch.tanh, "tanh", "tanh_"), (nn.Tanh, ())),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_"), (nn.Sigmoid, ())),
    **dict.fromkeys(
        (F.max_pool2d, torch.max_pool2d),
        (
            nn.MaxPool2d,
            ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
        ),
    ),
}
"""Calls that become modules: the module's class, and its parameters in the call's order."""

LINEAR = (
    *(operator.add, torch.add, "add", torch.mean, "mean"),
    *(F.avg_pool2d, F.adaptive_avg_pool2d, F.batch_norm),
)
"""Further calls that become modules, because they sum over their input."""

IN_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul, operator.isub: operator.sub}


class Applied(nn.Module):
    """A function or a tensor's method with everything fixed but the tensors that pass through."""

    def __init__(self, function: Callable[..., Tensor], args: Any, kwargs: Any) -> None:
        super().__init__()
        self.function, self.args, self.kwargs = function, args, kwargs

    def forward(self, *tensors: Tensor) -> Tensor:
        """Call the function with the tensors in the positions that were left open."""
        left = iter(tensors)
        return self.function(*(next(left) if a is _HOLE else a for a in self.args), **self.kwargs)


_HOLE = object()


def unroll(module: nn.Module, example: Tensor) -> fx.GraphModule:
    """Copy a network so that nothing in it is reused, functional or in place.

    Each call of an activation, of a pooling, of a sum or of a layer becomes a module of its own;
    dropout and other steps without effect in evaluation disappear, and so do parametrisations.
    Other weights stay where they are in memory.

    Args:
        module: The network.
        example: A normalised input, b×C×H×W, on which the copy is compared with the network.

    Returns:
        The copy, in evaluation mode, without parameter gradients.

    Raises:
        RequestError: torch.fx cannot follow the network's code, or the copy's output is another.
    """
    original = make_twin(module)
    _settle_parametrisations(original)
    try:
        whole = Whole(original)
        network = fx.GraphModule(whole, fx.Tracer().trace(whole))
        with torch.no_grad():
            ShapeProp(network).propagate(example)
    except Exception as error:  # the network's code can fail under symbolic values in any way
        reason = str(error).partition("\n")[0]
        raise RequestError(
            f"this explanation method changes how activations are differentiated, so that each "
            f"must be a module of its own, but torch.fx cannot follow the code of "
            f"{type(module).__name__}: {reason}"
        ) from error
    for node in list(network.graph.nodes):
        _unroll_step(node, network)
    network.delete_all_unused_submodules()
    network.graph.lint()
    network.recompile()
    network.eval()
    with torch.no_grad():
        expected, found = original(example), network(example)
    if not expected.isfinite().all():
        raise RequestError("the network's logits are not finite (NaN or infinite)")
    if not torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())):
        raise RequestError(
            f"the copy of {type(module).__name__} in which each activation is a module of its own "
            "gives other logits, because its code works in place on parts of a tensor"
        )
    return network


def _settle_parametrisations(network: nn.Module) -> None:
    """Replace weights that a parametrisation computes by their values: layers are then plain."""
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer):
            for name in list(cast(nn.ModuleDict, layer.parametrizations)):
                parametrize.remove_parametrizations(layer, name)


def _unroll_step(node: fx.Node, network: fx.GraphModule) -> None:
    in_place = _works_in_place(node, network)
    source = node.args[0] if node.args else node.kwargs.get("input")
    if node.target in IN_PLACE:
        node.target = IN_PLACE[cast(Any, node.target)]
    elif node.op == "call_method" and in_place:
        node.target = str(node.target).removesuffix("_")
    layer = _make_layer(node, network)
    if isinstance(layer, nn.Identity | nn.Dropout | nn.Dropout2d):
        assert isinstance(source, fx.Node)
        node.replace_all_uses_with(source)
        network.graph.erase_node(node)
        return
    if layer is not None:
        network.add_submodule(f"step_{node.name}", layer)
        if node.op != "call_module":
            node.args, node.kwargs = tuple(_find_tensors(node)), {}
        node.op, node.target = "call_module", f"step_{node.name}"
        _separate(node, network)
    if in_place and isinstance(source, fx.Node):
        # From here on, whoever reads the tensor worked on reads the result.
        positions = {each: position for position, each in enumerate(network.graph.nodes)}
        source.replace_all_uses_with(node, lambda user: positions[user] > positions[node])


def _separate(node: fx.Node, network: fx.GraphModule) -> None:
    """Give a step an input that is no other step's output or input.

    Hooks of two modules on one tensor get in each other's way: the gradient that one has changed
    does not reach the other.
    """
    with network.graph.inserting_before(node):
        inputs: list[Any] = []
        for arg in node.args:
            inputs.append(arg)
            if isinstance(arg, fx.Node):
                inputs[-1] = network.graph.call_method("clone", (arg,))
                inputs[-1].meta = arg.meta.copy()
        node.args = tuple(inputs)


def _works_in_place(node: fx.Node, network: fx.GraphModule) -> bool:
    if node.op == "call_module":
        return bool(getattr(network.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        name = str(node.target)
        return name.endswith("_") and not name.endswith("__")
    named = node.op == "call_function" and getattr(node.target, "__name__", "").endswith("_")
    inplace = node.kwargs.get("inplace", _read_positional(node).get("inplace", False))
    return node.target in IN_PLACE or named or bool(inplace)


def _read_positional(node: fx.Node) -> dict[str, Any]:
    _, names = NON_LINEAR.get(node.target, (None, ()))
    return dict(zip(names, node.args[1:], strict=False))


def _make_layer(node: fx.Node, network: fx.GraphModule) -> nn.Module | None:
    """Make a module that does what a node does; None if it is to stay a call."""
    if node.op == "call_module":
        return _copy_layer(network.get_submodule(str(node.target)))
    if node.op not in ("call_function", "call_method") or not is_tensor(node):
        return None
    if node.target in NON_LINEAR:
        kind, _ = NON_LINEAR[node.target]
        options = _read_positional(node) | dict(node.kwargs)
        constant = not any(isinstance(value, fx.Node) for value in options.values())
        known = {k: v for k, v in options.items() if k not in ("input", "inplace")}
        return kind(**known) if constant else None
    tensors = _find_tensors(node)
    direct = {arg for arg in node.args if isinstance(arg, fx.Node)}
    if (
        node.target not in LINEAR
        or set(node.all_input_nodes) != direct
        or not tensors
        or not all(map(is_tensor, tensors))
    ):
        return None
    function = getattr(Tensor, node.target) if isinstance(node.target, str) else node.target
    args = [_HOLE if arg in tensors else _find_value(arg, network) for arg in node.args]
    return Applied(cast(Any, function), args, dict(node.kwargs))


def _find_tensors(node: fx.Node) -> list[fx.Node]:
    """Find the nodes whose tensors pass through a node: its arguments that depend on the image."""
    sources = node.args or (node.kwargs.get("input"),)
    return [arg for arg in sources if isinstance(arg, fx.Node) and arg.op != "get_attr"]


def is_tensor(node: fx.Node) -> bool:
    """Tell whether a node of an unrolled network gives a tensor, and not a size or the like."""
    return node.meta.get("type") is Tensor


def _find_value(arg: Any, network: fx.GraphModule) -> Any:
    if not isinstance(arg, fx.Node):
        return arg
    return operator.attrgetter(str(arg.target))(network)


def _copy_layer(layer: nn.Module) -> nn.Module:
    """Copy a layer: the same parameters with attributes and hooks of its own."""
    fresh = layer.__new__(type(layer))
    vars(fresh).update(vars(layer))
    for name, value in vars(layer).items():
        if isinstance(value, dict):
            vars(fresh)[name] = value.copy()
    if hasattr(fresh, "inplace"):
        vars(fresh)["inplace"] = False
    return fresh
