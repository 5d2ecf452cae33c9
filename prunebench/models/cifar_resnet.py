"""Residual networks for small images: ResNet-8, 20, 32, 44, 56 and 110."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from prunebench.data import Normalisation


class _CifarResNet(Model):
    depth: ClassVar[int]
    """Number of layers with weights: 6n+2 for n blocks a stage."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network, for colour images."""
        from prunebench.models.networks.cifar_resnet import CifarResNet

        if channels != 3:
            raise RequestError(
                f"resnet{self.depth} needs colour images (3 channels), found {channels}"
            )
        return CifarResNet(self.depth, classes)

    def target_layer(self) -> str:
        """Name the last stage, after its last block's ReLU: 64 maps of 8×8 on CIFAR images."""
        return "layer3"

    def recipe(self) -> Recipe:
        """Return 164 epochs of SGD, a tenth of the rate after 82 and a hundredth after 123."""
        return Recipe(
            epochs=164,
            lr=0.1,
            momentum=0.9,
            weight_decay=1e-4,
            batch_size=128,
            milestones=(82, 123),
            augment="crop-flip",
        )

    def normalisation(self) -> Normalisation | None:
        """Return ImageNet's normalisation, which the published weights were trained with."""
        from prunebench.data import Normalisation

        return Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def fixed_channels(self) -> tuple[str, ...]:
        """Name what writes to the residual stream, whose channels the shortcuts pad by position."""
        blocks = (self.depth - 2) // 6
        ends = (f"layer{stage}.{block}.conv2" for stage in (1, 2, 3) for block in range(blocks))
        return ("conv1", *ends)


class ResNet8(_CifarResNet):
    """One block a stage, for grey or colour images, and no published weights."""

    depth = 8
    width: int = Field(
        16,
        ge=2,
        multiple_of=2,
        description="channels of the first stage, doubled by each later one",
    )

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network."""
        from prunebench.models.networks.cifar_resnet import CifarResNet

        return CifarResNet(self.depth, classes, channels, self.width)

    def target_layer(self) -> str:
        """Name the last stage, after its block's ReLU: 64 maps of 7×7 on images of 28×28."""
        return "layer3"

    def recipe(self) -> Recipe:
        """Return 15 epochs of SGD with a learning rate that falls to zero."""
        return Recipe(
            epochs=15,
            lr=0.1,
            momentum=0.9,
            weight_decay=5e-4,
            batch_size=128,
            schedule="cosine",
            augment="crop-flip",
            keep="last",
        )

    def normalisation(self) -> None:
        """Return nothing: the data set's own holds, since no weights demand another."""


class ResNet20(_CifarResNet):
    """Three blocks a stage."""

    depth = 20


class ResNet32(_CifarResNet):
    """Five blocks a stage."""

    depth = 32


class ResNet44(_CifarResNet):
    """Seven blocks a stage."""

    depth = 44


class ResNet56(_CifarResNet):
    """Nine blocks a stage."""

    depth = 56


class ResNet110(_CifarResNet):
    """Eighteen blocks a stage."""

    depth = 110
