"""The layers whose weights and filters pruners may remove."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd


def find_prunable_layers(module: nn.Module) -> dict[str, _ConvNd | nn.Linear]:
    """Find a network's convolutions and linear layers, whose weights may be masked, by name."""
    layers = module.named_modules()
    return {name: layer for name, layer in layers if isinstance(layer, _ConvNd | nn.Linear)}
