"""A network of which it is known where it looks: at one patch, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from prunebench.metrics import Evidence
from prunebench.networks import Architecture, Network
from prunebench.plugins import choose

SIDE = 16
PATCH = (slice(None), slice(None), slice(4, 8), slice(8, 12))


class LooksAtPatch(nn.Module):
    """Logit 1 is the mean of the patch, scaled, less a half; logit 0 is 0."""

    def __init__(self, scale: float = 8.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, images: Tensor) -> Tensor:
        score = self.scale * (images[PATCH].mean((1, 2, 3)) - 0.5)
        return torch.stack([torch.zeros_like(score), score], 1)


def network(module: nn.Module, channels: int = 3, side: int = SIDE) -> Network:
    architecture = Architecture(
        factory="made by hand",
        classes=2,
        channels=channels,
        size=(side, side),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    return Network(module.eval(), architecture)


def patch_images(count: int, seed: int = 0) -> Tensor:
    """Noise, with a bright patch where the network looks."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, SIDE, SIDE, generator=generator) * 0.3
    images[PATCH] += 1.2
    return images


def true_maps(count: int) -> Tensor:
    maps = torch.zeros(count, 1, SIDE, SIDE)
    maps[PATCH] = 1
    return maps[:, 0]


def random_maps(count: int, side: int = SIDE, seed: int = 1) -> Tensor:
    return torch.rand(count, side, side, generator=torch.Generator().manual_seed(seed))


def batches(images: Tensor, batch_size: int | None = None):
    """Loads images as evidence does; a given batch size overrides the one asked for."""

    def load(asked: int = 64) -> Iterator[tuple[slice, Tensor]]:
        size = batch_size or asked
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            yield slice(start, start + len(batch)), batch

    return load


def masked(module: nn.Module, images: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """What the reading of that name holds, for a network whose maps never change."""
    with torch.no_grad():
        return maps, module(images * maps[:, None])


def measure(name: str, readings: dict, seed: int = 0, **parameters) -> dict[str, Tensor]:
    """Gives a metric what it declares to read, and what comes along with that."""
    metric = choose("metrics", name, parameters).plugin
    allowed = {*metric.reads, "classes", "explained"}
    load = {key: (lambda value=value: value) for key, value in readings.items() if key in allowed}
    return dict(metric.compute(Evidence(load, torch.device("cpu"), seed)))
