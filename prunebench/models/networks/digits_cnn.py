"""A small convolutional network for small images."""

from __future__ import annotations

from torch import Tensor, nn


class DigitsNetwork(nn.Module):
    """Four 3×3 convolutions with BatchNorm, two max-pools, global average pooling, one linear.

    At 1×32×32 the last stage gives 64 maps of 8×8.

    Args:
        classes: Number of outputs.
        channels: Channels of the input.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(*_make_convolution(channels, 16))
        self.stage2 = nn.Sequential(
            nn.MaxPool2d(2), *_make_convolution(16, 32), *_make_convolution(32, 64)
        )
        self.stage3 = nn.Sequential(nn.MaxPool2d(2), *_make_convolution(64, 64))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits B×classes for images B×channels×H×W, H and W at least 4."""
        maps = self.stage3(self.stage2(self.stage1(images)))
        logits: Tensor = self.linear(self.pool(maps).flatten(1))
        return logits


def _make_convolution(inputs: int, outputs: int) -> list[nn.Module]:
    # BatchNorm has a shift of its own, so that a bias before it would do nothing.
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
