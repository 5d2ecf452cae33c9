"""Networks whose channels get gates, with nothing in them that is trivially zero or one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunebench.conformance.networks import awkward
from prunebench.models.cifar_resnet import ResNet20, ResNet56
from prunebench.pruners.filters.coupling import (
    Channel,
    cut_out,
    find_couplings,
    list_channels,
    trace,
)
from prunebench.pruners.filters.removable import find_channels


@dataclass
class Gated:
    """A network in double precision, its channels and an input of two images."""

    module: nn.Module
    graph: Any
    channels: list[Channel]
    images: Tensor

    def cut(self, values: Tensor) -> nn.Module:
        """Removes the channels of the closed gates, physically, and returns what is left."""
        pairs = zip(self.channels, values.tolist(), strict=True)
        cut_out(self.module, self.graph, [channel for channel, value in pairs if not value])
        return self.module


def gated(module: nn.Module, size: int, fixed: tuple[str, ...] = ()) -> Gated:
    module = lively(module).double().eval()
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    graph = trace(module, images[:1])
    return Gated(module, graph, find_channels(module, graph, equal, fixed), images)


def gated_untried(module: nn.Module, size: int) -> Gated:
    """Gates for all channels that the dependency graph finds, whether they can go or not."""
    images = torch.randn(2, 3, size, size)
    graph = trace(module.eval(), images[:1])
    couplings = find_couplings(module, graph)
    channels = [channel for each in couplings for channel in list_channels(each, equal)]
    return Gated(module, graph, channels, images)


def equal(group: Any) -> Tensor:
    """An importance that knows no difference."""
    return torch.ones(len(group[0].idxs))


def lively(module: nn.Module) -> nn.Module:
    """Draws biases and normalisation, so that a filter of zeros is far from a removed one."""
    statistics = (("weight", 0.5, 1.5), ("running_mean", -0.5, 0.5), ("running_var", 0.5, 1.5))
    for layer in module.modules():
        others = statistics if isinstance(layer, nn.BatchNorm2d) else ()
        for name, low, high in (("bias", -0.5, 0.5), *others):
            if (values := getattr(layer, name, None)) is not None:
                nn.init.uniform_(values, low, high)
    return module


def pattern(channels: list[Channel], generator: torch.Generator) -> Tensor:
    """Closes random gates, few or many of them, but leaves each layer's filters one."""
    share = torch.rand(1, generator=generator)
    values = (torch.rand(len(channels), generator=generator) < share).double()
    by_layer: dict[str, list[int]] = {}
    for gate, channel in enumerate(channels):
        by_layer.setdefault(channel.layer, []).append(gate)
    for gates in by_layer.values():
        if not values[gates].any():
            values[gates[int(torch.randint(len(gates), (1,), generator=generator))]] = 1.0
    return values


class Tapped(nn.Module):
    """A network, and decoders of its own that read what is inside the network."""

    def __init__(self) -> None:
        super().__init__()
        self.network: Any = awkward(5, 3)
        self.lateral_1 = nn.Conv2d(16, 4, 1)
        self.lateral_2 = nn.Conv2d(32, 6, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        network = self.network
        stem = network.stem(images)
        summed = network.relu(network.second(network.first(stem)) + stem)
        maps = network.pointwise(network.depthwise(summed))
        logits = network.linear(network.pool(network.grouped(maps)).flatten(1))
        return logits, self.lateral_1(summed), self.lateral_2(maps)


class Joined(nn.Module):
    """Two branches of different widths, joined before a convolution and flattened for the last."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5))
        self.right = nn.Sequential(nn.Conv2d(3, 7, 3, padding=1), nn.PReLU(7))
        self.both = nn.Sequential(nn.Conv2d(12, 6, 3), nn.BatchNorm2d(6), nn.SiLU())
        self.linear = nn.Sequential(nn.Linear(24, 9), nn.Tanh(), nn.Linear(9, 4))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.both(torch.cat([self.left(images), self.right(images).sigmoid()], 1))
        logits: Tensor = self.linear(maps.flatten(1))
        return logits


class SqueezeExcitation(nn.Module):
    """A network that weighs its channels by what all of them hold."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.squeeze, self.excite = nn.Linear(8, 4), nn.Linear(4, 8)
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        weights = self.excite(self.squeeze(maps.mean((2, 3))).relu()).sigmoid()
        logits: Tensor = self.last(maps * weights[:, :, None, None]).mean((2, 3))
        return logits


def _torchvision(name: str, **options: Any) -> nn.Module:
    import torchvision

    network: nn.Module = getattr(torchvision.models, name)(num_classes=10, **options)
    return network


def _small_densenet() -> nn.Module:
    import torchvision

    network: nn.Module = torchvision.models.DenseNet(8, (2, 3), 12, num_classes=5)
    return network


NETWORKS: dict[str, Callable[[], Gated]] = {
    "awkward": lambda: gated(awkward(5, 3), 12),
    "joined": lambda: gated(Joined(), 4),
    "squeeze-excitation": lambda: gated(SqueezeExcitation(), 8),
    "small-densenet": lambda: gated(_small_densenet(), 32),
    "resnet20": lambda: gated(
        ResNet20().build(10, 3, (32, 32)), 32, tuple(ResNet20().fixed_channels())
    ),
    "resnet56": lambda: gated(
        ResNet56().build(10, 3, (32, 32)), 32, tuple(ResNet56().fixed_channels())
    ),
    "resnet18": lambda: gated(_torchvision("resnet18"), 32),
    "mobilenet_v2": lambda: gated(_torchvision("mobilenet_v2"), 32),
    "narrow-mobilenet_v2": lambda: gated(_torchvision("mobilenet_v2", width_mult=0.25), 32),
    "squeezenet1_1": lambda: gated(_torchvision("squeezenet1_1"), 48),
    "vgg11_bn": lambda: gated(_torchvision("vgg11_bn"), 32),
    "densenet121": lambda: gated(_torchvision("densenet121"), 48),
}


def networks(*names: str, large: tuple[str, ...] = ()) -> list[Any]:
    """Names of networks as parameters of a test."""
    return [*names, *(pytest.param(name, marks=pytest.mark.sweep) for name in large)]


def build(name: str) -> Gated:
    torch.manual_seed(0)
    return NETWORKS[name]()
