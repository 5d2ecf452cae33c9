"""The network of the thesis on iterative unstructured pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from prunebench.data import Normalisation


class ThesisCnn(Model):
    """Two small convolutions and one linear layer: 2,324 weights on MNIST."""

    inputs: Literal["raw", "normalised"] = Field(
        "raw", description="pixels in [0, 1], as published, or normalised as the data set is"
    )

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network, for grey images of at least 10×10."""
        from prunebench.models.networks.thesis_cnn import ThesisNetwork

        if channels != 1:
            raise RequestError(f"thesis-cnn needs grey images (1 channel), found {channels}")
        if min(size) < 10:
            raise RequestError(
                f"thesis-cnn needs images of at least 10×10, found {size[0]}×{size[1]}"
            )
        return ThesisNetwork(classes, size)

    def target_layer(self) -> str:
        """Name the second convolution after its ReLU: 11×11 on MNIST."""
        return "relu2"

    def recipe(self) -> Recipe:
        """Return the thesis's pretraining: ten epochs of SGD, two at a tenth of the rate."""
        return Recipe(
            epochs=10,
            lr=0.01,
            momentum=0.9,
            weight_decay=1e-4,
            batch_size=128,
            milestones=(8,),
            keep="last",
        )

    def normalisation(self) -> Normalisation | None:
        """Return one that changes nothing, so that pixels stay in [0, 1], or the data set's own."""
        from prunebench.data import Normalisation

        return Normalisation((0.0,), (1.0,)) if self.inputs == "raw" else None
