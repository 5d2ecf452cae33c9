"""Signs that a network's weights are random, seen in them and not in how a model is spelled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def find_random_layers(build: Callable[[], nn.Module]) -> tuple[list[str], int]:
    """Find the layers whose weights a factory draws at random: two builds disagree on them.

    Args:
        build: The factory.

    Returns:
        Names of these layers, and the number of layers that have weights.

    Example:
        >>> from torch import nn
        >>> find_random_layers(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
        (['0'], 2)
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = build()
        torch.manual_seed(1)
        second = build()
    own = {
        name: list(layer.parameters(recurse=False))
        for name, layer in first.named_modules()
        if list(layer.parameters(recurse=False))
    }
    others = dict(second.named_modules())
    different = [
        name
        for name, weights in own.items()
        if name in others
        and any(
            not torch.equal(a, b)
            for a, b in zip(weights, others[name].parameters(recurse=False), strict=False)
        )
    ]
    return different, len(own)


def describe_random(different: list[str], total: int) -> str:
    """Say of which layers the weights are random; empty where of none."""
    if not different:
        return ""
    # Normalisation layers begin at ones and zeros, and differ in no two builds.
    if len(different) > total / 3:
        return "has random weights: its factory loads none"
    shown = ", ".join(map(repr, different[:3]))
    return f"has random weights in {shown}{' and others' if len(different) > 3 else ''}"


def describe_statistics(module: nn.Module) -> str:
    """Say whether BatchNorm's running statistics are those of a network that was never trained."""
    statistics = [
        (layer.running_mean, layer.running_var)
        for layer in module.modules()
        if isinstance(layer, _NormBase)
    ]
    known = [(mean, var) for mean, var in statistics if mean is not None and var is not None]
    fresh = all(not mean.any() and torch.equal(var, torch.ones_like(var)) for mean, var in known)
    if not known or not fresh:
        return ""
    return (
        "was never trained, or lost its statistics: every BatchNorm has a running mean of 0 and a "
        "running variance of 1"
    )
