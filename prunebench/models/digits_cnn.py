"""The small network of the quick benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


class DigitsCnn(Model):
    """Four convolutions with BatchNorm, global average pooling and one linear layer."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network, for images of at least 4×4."""
        from prunebench.models.networks.digits_cnn import DigitsNetwork

        if min(size) < 4:
            raise RequestError(
                f"digits-cnn needs images of at least 4×4, found {size[0]}×{size[1]}"
            )
        return DigitsNetwork(classes, channels)

    def target_layer(self) -> str:
        """Name the last stage, before global average pooling: a quarter of the image's size."""
        return "stage3"

    def recipe(self) -> Recipe:
        """Return eight epochs of SGD with a learning rate that falls to zero."""
        return Recipe(
            epochs=8, lr=0.05, momentum=0.9, weight_decay=5e-4, batch_size=64, schedule="cosine"
        )
