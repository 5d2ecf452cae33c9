"""The wide residual networks for CIFAR images, with normalisation and ReLU before convolutions."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional


class WideResNet(nn.Module):
    """A 3×3 convolution, three stages of 16, 32 and 64 channels times a width, pooling, linear.

    Zagoruyko and Komodakis 2016, table 1, blocks B(3, 3). Parameter names are those of the
    PyTorch weights in wide use.

    Args:
        depth: Number of weighted layers on the longest path, 6n+4 for n blocks a stage.
        width: How many times as many channels as in a ResNet for CIFAR.
        classes: Number of outputs.
        channels: Channels of the input.
        dropout: Probability of dropping a value between the two convolutions of a block.
    """

    def __init__(
        self, depth: int, width: int, classes: int, channels: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = _make_stage(blocks, 16, 16 * width, 1, dropout)
        self.block2 = _make_stage(blocks, 16 * width, 32 * width, 2, dropout)
        self.block3 = _make_stage(blocks, 32 * width, 64 * width, 2, dropout)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(64 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits B×classes for images B×channels×H×W."""
        maps = self.block3(self.block2(self.block1(self.conv1(images))))
        maps = self.relu(self.bn1(maps))
        logits: Tensor = self.fc(maps.mean((2, 3)))
        return logits


class WideBlock(nn.Module):
    """Two 3×3 convolutions, each after normalisation and ReLU, and a shortcut past them.

    Where the number of channels changes, the shortcut is a 1×1 convolution, and it reads what the
    first convolution reads.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = inputs != outputs
        self.convShortcut = (
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False) if changes else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the sum of both paths, neither normalised nor rectified."""
        active = functional.relu(self.bn1(maps))
        shortcut = maps if self.convShortcut is None else self.convShortcut(active)
        residual = functional.relu(self.bn2(self.conv1(active)))
        total: Tensor = shortcut + self.conv2(self.dropout(residual))
        return total


def _make_stage(
    blocks: int, inputs: int, outputs: int, stride: int, dropout: float
) -> nn.Sequential:
    first = WideBlock(inputs, outputs, stride, dropout)
    others = (WideBlock(outputs, outputs, 1, dropout) for _ in range(blocks - 1))
    return nn.Sequential(OrderedDict(layer=nn.Sequential(first, *others)))
