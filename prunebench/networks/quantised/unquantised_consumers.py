"""Convolutions whose outputs something else than a quantised layer reads."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional

from prunebench.networks.quantised.layers import INT8
from prunebench.networks.shared_weights import make_twin

PASSING_LAYERS = (nn.ReLU, nn.ReLU6, nn.MaxPool2d, nn.Identity, nn.Dropout, nn.Flatten)
PASSING_CALLS = frozenset(
    {functional.relu, torch.relu, functional.max_pool2d, torch.flatten, "relu", "relu_", "flatten"}
)
"""What integer kernels compute together with the convolution before, or on codes as on values."""


def find_unquantised_outputs(module: nn.Module) -> set[nn.Module]:
    """Find convolutions some of whose outputs reach an addition, a mean, or the like.

    Integer kernels need a rounded output. Where the next quantised layer rounds its input anyway,
    directly or after a ReLU, that is one; elsewhere it is to be rounded on its own. None are found
    in a network whose code torch.fx cannot follow.

    Args:
        module: The network, with BatchNorm folded.
    """
    try:
        graph = fx.Tracer().trace(make_twin(module))
    except Exception:  # the network's code can fail under symbolic values in any way
        return set()
    return {
        layer
        for node in graph.nodes
        if type(layer := _find_layer(module, node)) is nn.Conv2d
        and _reaches_unquantised(module, node)
    }


def _reaches_unquantised(module: nn.Module, node: fx.Node) -> bool:
    """Tell whether a value reaches anything but quantised layers."""
    for user in node.users:
        if type(_find_layer(module, user)) in INT8:
            continue
        passes = (
            isinstance(_find_layer(module, user), PASSING_LAYERS) or user.target in PASSING_CALLS
        )
        if not passes or _reaches_unquantised(module, user):
            return True
    return False


def _find_layer(module: nn.Module, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None
