"""An awkward little network: what pruners and explanation methods stumble over, in one place."""

from __future__ import annotations

from torch import Tensor, nn


class Awkward(nn.Module):
    """A residual sum, a depthwise and a grouped convolution, and ReLUs that work in place.

    Args:
        classes: Number of outputs.
        channels: Channels of the input.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.stem = _convolution(channels, 16)
        self.first = _convolution(16, 16)
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.relu = nn.ReLU(inplace=True)
        self.depthwise = _convolution(16, 16, groups=16, stride=2)
        self.pointwise = _convolution(16, 32, size=1)
        self.grouped = _convolution(32, 32, groups=4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(32, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, B×classes, for images, B×channels×H×W."""
        stem = self.stem(images)
        summed = self.relu(self.second(self.first(stem)) + stem)
        maps = self.grouped(self.pointwise(self.depthwise(summed)))
        logits: Tensor = self.linear(self.pool(maps).flatten(1))
        return logits


def _convolution(
    inputs: int, outputs: int, size: int = 3, groups: int = 1, stride: int = 1
) -> nn.Sequential:
    convolution = nn.Conv2d(
        inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def awkward(classes: int, channels: int) -> nn.Module:
    """Build the untrained network."""
    return Awkward(classes, channels)
