"""Wide residual networks for CIFAR images: WRN-28-10 and WRN-16-2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


class _WideResNet(Model):
    depth: ClassVar[int]
    """Number of layers with weights on the longest path: 6n+4 for n blocks a stage."""

    width: ClassVar[int]
    """How many times as many channels as in a ResNet for CIFAR."""

    dropout: float = Field(
        0.0, ge=0, lt=1, description="probability of dropping a value inside a block, in training"
    )

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network."""
        from prunebench.models.networks.wide_resnet import WideResNet

        return WideResNet(self.depth, self.width, classes, channels, self.dropout)

    def target_layer(self) -> str:
        """Name the ReLU before the pooling: 8×8 on CIFAR images.

        The last stage itself ends in a sum that is neither normalised nor rectified.
        """
        return "relu"

    def recipe(self) -> Recipe:
        """Return 200 epochs of SGD, a fifth of the rate after 60, after 120 and after 160."""
        return Recipe(
            epochs=200,
            lr=0.1,
            momentum=0.9,
            weight_decay=5e-4,
            batch_size=128,
            milestones=(60, 120, 160),
            gamma=0.2,
            augment="crop-flip",
        )


class Wrn28x10(_WideResNet):
    """Four blocks a stage, ten times as wide: 640 channels at the end."""

    depth = 28
    width = 10


class Wrn16x2(_WideResNet):
    """Two blocks a stage, twice as wide: 128 channels at the end."""

    depth = 16
    width = 2
