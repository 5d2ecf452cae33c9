"""The residual networks for CIFAR images, with shortcuts that have no parameters."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class CifarResNet(nn.Module):
    """A 3×3 convolution, three stages each twice as wide, global average pooling, linear.

    He, Zhang, Ren and Sun 2015, section 4.2, with their shortcuts of option A. Parameter names
    are those of the published weights.

    Args:
        depth: Number of weighted layers, 6n+2 for n blocks a stage.
        classes: Number of outputs.
        channels: Channels of the images.
        width: Channels of the first stage, an even number: a shortcut pads as many on both sides.
    """

    def __init__(self, depth: int, classes: int, channels: int = 3, width: int = 16) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _make_stage(blocks, width, width, stride=1)
        self.layer2 = _make_stage(blocks, width, 2 * width, stride=2)
        self.layer3 = _make_stage(blocks, 2 * width, 4 * width, stride=2)
        self.linear = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits B×classes for images B×channels×H×W."""
        maps = functional.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        logits: Tensor = self.linear(maps.mean((2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3×3 convolutions, and a shortcut past them.

    Where the stage changes, the shortcut takes every second pixel and sets the new channels to
    zero, half of them before and half after the old ones.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.padding = (outputs - inputs) // 2

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of this block, after the ReLU."""
        residual = functional.relu(self.bn1(self.conv1(maps)))
        residual = self.bn2(self.conv2(residual))
        if self.stride > 1 or self.padding:
            maps = maps[:, :, :: self.stride, :: self.stride]
            maps = functional.pad(maps, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(residual + maps)


def _make_stage(blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
