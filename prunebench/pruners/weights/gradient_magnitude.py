"""Weights ranked by what a step to zero would change the loss by, to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Gradient(Preparation):
    """The gradient of the mean cross-entropy over some training images; all levels share it."""

    name: ClassVar[str] = "gradient"
    key_name: ClassVar[str] = "prunebench.pruners.weights.gradient_magnitude:Gradient"
    random: ClassVar[bool] = True

    images: int = Field(1024, ge=1, description="training images looked at")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Compute the gradient by the weights of each prunable layer, by layer name."""
        from prunebench.pruners.weights.derivatives import BATCH, compute_gradient

        return compute_gradient(network.eval(), context.batches(self.images, BATCH))


class GradientMagnitude(MaskPruner):
    """Zeroes the weights with the smallest product of weight and gradient.

    The global gradient magnitude pruning of Blalock, Gonzalez Ortiz, Frankle and Guttag 2020.
    """

    key_name: ClassVar[str] = "prunebench.pruners.weights.gradient_magnitude:GradientMagnitude"
    random: ClassVar[bool] = True

    images: int = Field(1024, ge=1, description="training images the gradient is taken over")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the gradient."""
        return (Gradient(images=self.images),)

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return the absolute product of each weight and the loss's gradient by it."""
        from prunebench.networks.prunable_layers import find_prunable_layers

        slopes = context.prepared[Gradient.name]
        return {
            name: (layer.weight.detach() * slopes[name]).abs()
            for name, layer in find_prunable_layers(network).items()
        }
