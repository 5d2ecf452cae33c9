"""The cost equations of the Sp2PS paper (equations 1 to 5), applied to a real forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

Pool = nn.MaxPool2d | nn.AvgPool2d


def sp2ps_flops(module: nn.Module, example: Tensor) -> dict[str, float]:
    """Count the FLOPs of each convolution, linear and pooling layer for one image.

    Args:
        module: The network, in evaluation mode; it is left as it was.
        example: An input, B×C×H×W, on the network's device; its first image is used.

    Returns:
        FLOPs by layer name.
    """
    flops: dict[str, float] = {}

    def counter(name: str) -> Any:
        def count(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            flops[name] = flops.get(name, 0.0) + _layer_flops(layer, output)

        return count

    hooks = [
        layer.register_forward_hook(counter(name))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear | Pool)
    ]
    try:
        with torch.no_grad():
            module(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return flops


def _layer_flops(layer: nn.Module, output: Tensor) -> float:
    if isinstance(layer, nn.Conv2d):
        height, width = output.shape[-2:]
        return 2.0 * layer.weight.shape[1:].numel() * height * width * filters_left(layer)
    if isinstance(layer, nn.Linear):
        return 2.0 * layer.in_features * output.numel()
    assert isinstance(layer, Pool)
    # Width and height are those after pooling, and are divided by the stride once more: only
    # this reading gives the paper's total.
    rows, columns = _pair(layer.stride)
    return output.numel() / (rows * columns)


def filters_left(layer: nn.Conv2d) -> int:
    """Count the filters of a convolution that have a weight other than zero."""
    return int(layer.weight.detach().flatten(1).any(1).sum())


def _pair(stride: int | tuple[int, ...]) -> tuple[int, int]:
    return (stride, stride) if isinstance(stride, int) else (stride[0], stride[-1])
