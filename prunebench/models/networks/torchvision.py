"""torchvision's classification networks, and which of their layers is the last stage of maps."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model, get_model_weights

AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
"""Networks with further classifiers, used in training only: their prefixes in state dicts."""

PASSING_ON = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
)
"""Layers that make no maps of their own."""

OUTLINE_CLASSES = 1009  # a number of channels that no inner layer has


def build(name: str, classes: int, weights: str | None) -> nn.Module:
    """Builds an untrained network whose output is one tensor of logits.

    Args:
        name: torchvision's name of the network.
        classes: Number of outputs.
        weights: Name of the weights that will be loaded. Those of networks with auxiliary
            classifiers expect another normalisation, to which the network then converts.
    """
    options: dict[str, Any] = {}
    if name in AUXILIARY:
        options = {"aux_logits": False, "init_weights": True}
        options["transform_input"] = weights is not None
    network: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    return network


def published_weights(name: str, weights: str) -> dict[str, Tensor]:
    """Downloads (once) and reads weights, without those of auxiliary classifiers."""
    state = get_model_weights(name)[weights].get_state_dict(progress=False, check_hash=True)
    return {k: v for k, v in state.items() if not k.startswith(AUXILIARY.get(name, ()))}


def refusal(name: str, size: tuple[int, int]) -> str | None:
    """Why a network cannot take images of this height and width; None if it can."""
    try:
        _pass(_outline(name), size)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return None


@cache
def last_stage(name: str, size: int = 224, smallest: int = 4) -> str | None:
    """Finds the module that gives the last maps before they are pooled and classified.

    The modules are watched in one pass without arithmetic. Of those that run before the layer
    that makes the logits, it is the last one whose output is a map and was not made by a pool or
    by dropout; where several modules give the same map, the outermost.

    Args:
        name: torchvision's name of the network.
        size: Height and width of the image passed through.
        smallest: Height and width from which on an output counts as a map.

    Returns:
        The module's name; None for networks with attention, whose last maps are no convolution's.
    """
    network = _outline(name)
    if any("Attention" in type(module).__name__ for module in network.modules()):
        return None
    ran: list[tuple[str, nn.Module, Tensor]] = []
    for path, module in network.named_modules():
        if path:
            module.register_forward_hook(
                lambda module, _, output, path=path: ran.append((path, module, output))
            )
    _pass(network, (size, size))

    last = None
    passed_on: set[int] = set()
    for path, module, output in ran:
        if isinstance(module, nn.Conv2d | nn.Linear) and output.shape[1] == OUTLINE_CLASSES:
            break
        if isinstance(module, PASSING_ON):
            passed_on.add(id(output))  # stays the same through the containers that end in it
        elif (
            output.dim() == 4 and min(output.shape[2:]) >= smallest and id(output) not in passed_on
        ):
            last = path
    return last


def _outline(name: str) -> nn.Module:
    """Builds a network on the meta device: layers and shapes, neither values nor memory."""
    with _EmptyOnMeta():
        return build(name, OUTLINE_CLASSES, None).to("meta").eval()


class _EmptyOnMeta(TorchFunctionMode):
    # Parameters start as torch.empty. Not everything can be on the meta device from the start:
    # some networks compute their widths with tensors.
    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if function is torch.empty:
            options["device"] = "meta"
        return function(*args, **options)


def _pass(network: nn.Module, size: tuple[int, int]) -> None:
    with torch.no_grad(), torch.device("meta"):
        network(torch.empty(1, 3, *size))
