"""Sizes of layers: their attributes that are whole numbers, such as ``out_channels``."""

from __future__ import annotations

from typing import Any

from torch import nn

Sizes = dict[str, int | tuple[int, ...]]
Attributes = dict[str, Sizes]
"""By layer its sizes, such as ``{"conv1": {"groups": 8}}``."""


def list_sizes(module: nn.Module) -> Attributes:
    """List the sizes of each layer."""
    return {name: find_sizes(vars(layer)) for name, layer in module.named_modules()}


def find_sizes(attributes: dict[str, Any]) -> Sizes:
    """Find those attributes that are sizes."""
    return {
        key: value
        for key, value in attributes.items()
        if not key.startswith("_") and is_size(value)
    }


def is_size(value: Any) -> bool:
    """Tell whether a value is a whole number, or a tuple of them."""
    values = value if isinstance(value, tuple) and value else (value,)
    return all(type(each) is int for each in values)
