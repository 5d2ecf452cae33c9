"""Networks without numbers, on the meta device, and which of their layers gives the last maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from prunebench.networks.layout import Layout, contradicts

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

PROBE_CLASSES = 1009  # a number of channels that no inner layer has


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network on the meta device: layers and shapes, neither values nor memory."""
    with _EmptyOnMeta():
        return build().to("meta").eval()


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


def pass_shapes(network: nn.Module, channels: int, size: tuple[int, int]) -> None:
    """Pass one image through a network on the meta device: shapes, no arithmetic."""
    with torch.no_grad(), torch.device("meta"):
        network(torch.empty(1, channels, *size))


def find_last_maps(
    network: nn.Module,
    size: tuple[int, int],
    channels: int = 3,
    smallest: int = 4,
    channels_last: bool = False,
) -> str | None:
    """Find the module that gives the last maps before they are pooled and classified.

    The modules are watched in one pass without arithmetic. Of those that run before the layer
    that makes the logits, it is the last one whose output is a map and was not made by a pool or
    by dropout; where several modules give the same map, the outermost.

    Args:
        network: A network on the meta device, with ``PROBE_CLASSES`` classes.
        size: Height and width of the image passed through.
        channels: Of the image.
        smallest: Height and width from which on an output counts as a map.
        channels_last: Whether maps are B×h×w×C.

    Returns:
        The module's name; None where there are no maps, or where tokens follow them: a vision
        transformer's embedding of patches is no last stage.
    """
    ran: list[tuple[str, nn.Module, Any, Any]] = []
    for path, module in network.named_modules():
        if path:
            module.register_forward_hook(
                lambda module, inputs, output, path=path: ran.append((path, module, inputs, output))
            )
    pass_shapes(network, channels, size)

    last = None
    layout: Layout = "channels-last" if channels_last else "maps"
    sides = slice(1, 3) if channels_last else slice(2, 4)
    pooled: set[int] = set()
    for path, module, inputs, output in ran:
        if not isinstance(output, Tensor):
            continue
        if isinstance(module, nn.Conv2d | nn.Linear) and PROBE_CLASSES in output.shape:
            break
        if isinstance(module, PASSING_ON):
            # Stays the same through the containers that end in it.
            pooled.update({id(output)} - {id(each) for each in inputs})
        elif output.dim() == 3 and output.shape[1] >= smallest**2:
            last = None
        elif output.dim() == 4 and contradicts(output.shape, layout, size):
            continue  # the same maps in the other layout: within a block, or before they are turned
        elif output.dim() == 4 and min(output.shape[sides]) >= smallest:
            last = path if id(output) not in pooled else last
    return last


def count_output_dimensions(network: nn.Module, layer: str, size: tuple[int, int]) -> int:
    """Count the dimensions of a layer's output, batch included; 0 if it is not called.

    Args:
        network: A network on the meta device.
        layer: The layer's name.
        size: Height and width of the image passed through.
    """
    found = [0]
    handle = network.get_submodule(layer).register_forward_hook(
        lambda _layer, _inputs, output: found.append(output.dim())
    )
    pass_shapes(network, 3, size)
    handle.remove()
    return found[-1]
