"""Networks made for ImageNet, as they are changed for CIFAR's images of 32×32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


class _ForCifar(Model):
    def recipe(self) -> Recipe:
        """Return 200 epochs of SGD with a learning rate that falls to zero."""
        return Recipe(
            epochs=200,
            lr=0.1,
            momentum=0.9,
            weight_decay=5e-4,
            batch_size=128,
            schedule="cosine",
            augment="crop-flip",
        )


class ResNet18Cifar(_ForCifar):
    """ResNet-18 whose first layers do not shrink the image."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network."""
        from prunebench.models.networks.for_cifar import build_resnet18

        network: nn.Module = build_resnet18(classes, channels)
        return network

    def target_layer(self) -> str:
        """Name the last stage, after its last block's ReLU: 512 maps of 4×4 on CIFAR images."""
        return "layer4"


class MobileNetV2Cifar(_ForCifar):
    """MobileNetV2 with two strides fewer."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network."""
        from prunebench.models.networks.for_cifar import build_mobilenet_v2

        network: nn.Module = build_mobilenet_v2(classes, channels)
        return network

    def target_layer(self) -> str:
        """Name the last 1×1 convolution, after its ReLU6: 1,280 maps of 4×4 on CIFAR images."""
        return "features"


class Vgg16Cifar(_ForCifar):
    """VGG-16 with BatchNorm and a small classifier."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network, for images of at least 16×16."""
        from prunebench.models.networks.vgg16_cifar import SMALLEST, Vgg16

        if min(size) < SMALLEST:
            raise RequestError(
                f"vgg16-cifar needs images of at least {SMALLEST}×{SMALLEST}, "
                f"found {size[0]}×{size[1]}"
            )
        return Vgg16(classes, channels)

    def target_layer(self) -> str:
        """Name the last convolution of the fourth stage, after its ReLU: 512 maps of 4×4.

        On CIFAR images the fifth stage's maps are 2×2, too small to show where.
        """
        return "features.relu12"
