"""Small networks to be exported, and what a converted one is held to."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from prunebench import explain
from prunebench.cams.explaining import choose_layer
from prunebench.cams.tracer import Tracer
from prunebench.networks.classifier import make_classifier
from prunebench.networks.counting import count_total_macs

SIZE = 16
IMAGES = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
CAMS = ("grad-cam", "eigen-cam", "ablation-cam")


class Block(nn.Module):
    """A residual block with a gate, as in squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=2)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.relu(self.bn1(self.conv1(x))))
        out = out * self.gate(out)
        out += x
        return self.relu(out)


class Small(nn.Module):
    """A network that is not sequential, with a layer that runs twice and a free parameter."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.Hardswish()
        )
        self.pool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.scale = nn.Parameter(torch.rand(width, 1, 1) + 0.5)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.pool(self.stem(x))) * self.scale
        return self.head(torch.flatten(x.mean((2, 3)), 1))


class Tokens(nn.Module):
    """A class token and one layer of attention, whose code reads the size of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 17, 8))
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        batch, tokens, width = x.shape
        parts = self.qkv(self.norm(x)).reshape(batch, tokens, 3, 2, width // 2)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + mixed.transpose(1, 2).reshape(batch, tokens, width)
        return self.head(x[:, 0])


def settle(network: nn.Module, size: int = SIZE) -> nn.Module:
    """Give batch normalisation statistics that are not those of an untrained network."""
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(8, 3, size, size))
    return network.eval()


def make(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return settle(kind())


def export(network: nn.Module, path: Path, size: int = SIZE, batch: int | None = None) -> Path:
    """Save as ``torch.export`` does, for batches of any size or of one."""
    shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
    images = torch.randn(batch or 2, 3, size, size)
    torch.export.save(torch.export.export(network, (images,), dynamic_shapes=shapes), path)
    return path


def hold_maps_to(
    converted: nn.Module,
    original: nn.Module,
    images: Tensor = IMAGES,
    within: float = 1e-4,
    of_ablation: float = 1e-4,
) -> None:
    """Hold a converted network's layer, cut, multiply-adds and maps to the original's."""
    found, wanted = (
        choose_layer(make_classifier(each, images), None, images) for each in (converted, original)
    )
    assert found == wanted
    assert not Tracer(converted, found, images).uncut
    assert count_total_macs(converted, images) == count_total_macs(original, images)
    maps, expected = (explain(each, images, CAMS, quiet=True) for each in (converted, original))
    for cam in CAMS:
        allowed = of_ablation if cam == "ablation-cam" else within
        assert (maps[cam] - expected[cam]).abs().max() <= allowed, cam
