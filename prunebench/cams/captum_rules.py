"""The networks for which captum's methods with a rule for each layer are right."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, fx, nn

from prunebench.cams.cam import Trace
from prunebench.cams.deeplift_layers import TwoReLUs, WindowedMaxPool
from prunebench.cams.unrolled_network import Applied, is_tensor
from prunebench.errors import RequestError

LINEAR = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, Applied)

LAYERS: dict[str, tuple[type[nn.Module], ...]] = {
    "deep-lift": (
        *(*LINEAR, nn.Flatten, nn.ZeroPad2d, nn.MaxPool2d),
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.Softplus, nn.Sigmoid, nn.Tanh),
    ),
    "lrp": (*LINEAR, nn.Flatten, nn.ZeroPad2d, nn.MaxPool2d, nn.ReLU, nn.Tanh),
}
"""Layers whose rule captum knows, and those that need none."""

MOVING: tuple[Any, ...] = (
    *(torch.flatten, torch.cat, torch.transpose, torch.permute, torch.reshape, torch.chunk),
    *(torch.split, torch.squeeze, torch.unsqueeze, F.pad, operator.getitem, getattr),
    *("flatten", "reshape", "view", "transpose", "permute", "chunk", "split", "squeeze"),
    *("unsqueeze", "contiguous", "clone", "size"),
)
"""Calls that only move numbers about: what flows back through them needs no rule."""


def check_rules(method: str, network: fx.GraphModule, trace: Trace) -> None:
    """Refuse a network with a step for which captum has no rule: it would be silently wrong.

    Args:
        method: ``deep-lift`` or ``lrp``.
        network: An unrolled network.
        trace: For the message.

    Raises:
        RequestError: Naming the first such step.
    """
    for node in network.graph.nodes:
        if node.op == "call_module":
            layer = network.get_submodule(node.target)
            if type(layer) not in LAYERS[method]:
                raise _make_error(method, type(layer).__name__, trace)
        elif _computes(node) and node.target not in MOVING:
            name = getattr(node.target, "__name__", node.target)
            raise _make_error(method, f"the operation {name!r}", trace)


def _computes(node: fx.Node) -> bool:
    # chunk and split give tuples, whose parts are the tensors.
    gives = is_tensor(node) or any(is_tensor(user) for user in node.users)
    takes = any(is_tensor(source) for source in node.all_input_nodes)
    return node.op in ("call_function", "call_method") and gives and takes


def _make_error(method: str, what: str, trace: Trace) -> RequestError:
    return RequestError(
        f"captum/{method} has no rule for {what}, which {type(trace.module).__name__} has; "
        "captum/integrated-gradients suits every network"
    )


def check_rectified(method: str, network: fx.GraphModule, trace: Trace) -> None:
    """Refuse a network without a ReLU, in which these methods would change nothing.

    A ReLU6 counts as one: captum is made to see it.

    Raises:
        RequestError: There is none.
    """
    _replace(network, nn.ReLU6, lambda layer: SeenReLU6())
    if not any(isinstance(layer, nn.ReLU) for layer in network.modules()):
        raise RequestError(
            f"captum/{method} changes the gradient at ReLUs alone, and "
            f"{type(trace.module).__name__} has none; captum/integrated-gradients suits every "
            "network"
        )


class SeenReLU6(nn.ReLU):
    """A ReLU6 that captum takes for a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Clip at 0 and at 6."""
        return F.relu6(x)


def _replace(
    network: fx.GraphModule, kind: type[nn.Module], new: Callable[[Any], nn.Module]
) -> None:
    for name, layer in list(network.named_modules()):
        if type(layer) is kind:
            network.set_submodule(name, new(layer))


def prepare_differences(network: fx.GraphModule) -> None:
    """Rewrite, for DeepLIFT, what captum has no rule or a wrong one for."""
    _replace(network, nn.ReLU6, lambda layer: TwoReLUs())
    _replace(network, nn.MaxPool2d, WindowedMaxPool)


def set_epsilon(network: fx.GraphModule, epsilon: float) -> None:
    """Give each layer that sums the epsilon rule, as captum reads it: in an attribute."""
    for layer in network.modules():
        if type(layer) in LAYERS["lrp"] and not isinstance(layer, nn.ReLU | nn.Tanh):
            layer.rule = EpsilonRule(epsilon)
