"""What the papers' tables say of the networks for CIFAR images: every layer with weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

CLASSES = 10


class Layer(NamedTuple):
    """A layer with weights, as the tables of the papers tell it."""

    kernel: int
    inputs: int  # of each output: one in a depthwise convolution
    outputs: int
    side: int  # of its output
    normalised: bool = True
    bias: bool = False

    @property
    def weights(self) -> int:
        return self.kernel**2 * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        return self.weights + (2 * self.normalised + self.bias) * self.outputs

    @property
    def macs(self) -> int:
        return self.weights * self.side**2


def linear(inputs: int, outputs: int, normalised: bool = False) -> Layer:
    return Layer(1, inputs, outputs, 1, normalised, bias=True)


def wide_resnet(blocks: int, width: int) -> Iterator[Layer]:
    """Zagoruyko and Komodakis 2016, table 1.

    Normalisations are before the layers, but all in all there is one for each 3×3 convolution,
    as wide as its output.
    """
    yield Layer(3, 3, 16, 32)
    inputs = 16
    for outputs, side in ((16 * width, 32), (32 * width, 16), (64 * width, 8)):
        yield Layer(1, inputs, outputs, side, normalised=False)
        for _ in range(blocks):
            yield Layer(3, inputs, outputs, side)
            yield Layer(3, outputs, outputs, side)
            inputs = outputs
    yield linear(inputs, CLASSES)


def resnet18() -> Iterator[Layer]:
    """He et al. 2015, table 1, from the second stage on; a 3×3 convolution before it."""
    yield Layer(3, 3, 64, 32)
    inputs = 64
    for outputs, side in ((64, 32), (128, 16), (256, 8), (512, 4)):
        if outputs != inputs:
            yield Layer(1, inputs, outputs, side)
        for _ in range(2):
            yield Layer(3, inputs, outputs, side)
            yield Layer(3, outputs, outputs, side)
            inputs = outputs
    yield linear(512, CLASSES)


def vgg16() -> Iterator[Layer]:
    """Simonyan and Zisserman 2014, table 1, column D; BatchNorm, two small linear layers."""
    inputs = 3
    for outputs, count, side in ((64, 2, 32), (128, 2, 16), (256, 3, 8), (512, 3, 4), (512, 3, 2)):
        for _ in range(count):
            yield Layer(3, inputs, outputs, side, bias=True)
            inputs = outputs
    yield linear(512, 512, normalised=True)
    yield linear(512, CLASSES)


def mobilenet_v2() -> Iterator[Layer]:
    """Sandler et al. 2018, table 2, with stride 1 in the first two places where it is 2."""
    yield Layer(3, 3, 32, 32)
    inputs = 32
    for expansion, outputs, count, side, before in (
        (1, 16, 1, 32, 32),
        (6, 24, 2, 32, 32),
        (6, 32, 3, 16, 32),
        (6, 64, 4, 8, 16),
        (6, 96, 3, 8, 8),
        (6, 160, 3, 4, 8),
        (6, 320, 1, 4, 4),
    ):
        for number in range(count):
            inner = expansion * inputs
            if expansion > 1:
                yield Layer(1, inputs, inner, side if number else before)
            yield Layer(3, 1, inner, side)
            yield Layer(1, inner, outputs, side)
            inputs = outputs
    yield Layer(1, 320, 1280, 4)
    yield linear(1280, CLASSES)


class Expected(NamedTuple):
    layers: list[Layer]
    parameters: int
    macs: int
    maps: tuple[int, int, int]


NETWORKS = {
    "wrn-28-10": Expected(list(wide_resnet(4, 10)), 36_479_194, 5_243_328_768, (640, 8, 8)),
    "wrn-16-2": Expected(list(wide_resnet(2, 2)), 691_674, 101_106_944, (128, 8, 8)),
    "resnet18-cifar": Expected(list(resnet18()), 11_173_962, 555_422_720, (512, 4, 4)),
    "vgg16-cifar": Expected(list(vgg16()), 14_991_946, 313_463_808, (512, 4, 4)),
    "mobilenetv2-cifar": Expected(list(mobilenet_v2()), 2_236_682, 87_976_448, (1280, 4, 4)),
}
