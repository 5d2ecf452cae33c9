"""The contract of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from prunebench.plugins.base import Plugin
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.data import Normalisation
    from prunebench.networks.layout import Layout


class Model(Plugin):
    """Base class of models: an architecture, its target layer and its training recipe."""

    method: ClassVar[str] = "build"
    random: ClassVar[bool] = True

    minimum_map: ClassVar[int] = 4
    """Smallest height and width of the target layer's map that is not refused."""

    weights: Path | None = Field(
        None, description="file of a state dict (safetensors, or torch format read weights-only)"
    )
    training: Recipe | None = Field(None, description="replaces the model's own training recipe")
    adapt: Recipe | None = Field(
        None, description="fine-tuning of given weights to this data set, before anything is pruned"
    )

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        if self.adapt is not None and not self.trained():
            raise ValueError("'adapt' needs weights; 'training' is for a network without")
        if self.training is not None and self.trained():
            raise ValueError(
                "'training' is for a network without weights; 'adapt' goes on from some"
            )
        if any(recipe and recipe.distillation for recipe in (self.training, self.adapt)):
            raise ValueError("'distillation' is an option of recovery: a baseline has no teacher")
        return self

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network.

        Args:
            classes: Number of outputs.
            channels: Channels of the input images.
            size: Height and width of the input images.

        Raises:
            RequestError: The network cannot take such images.
        """
        raise NotImplementedError

    def target_layer(self) -> str:
        """Return the name of the module whose output is explained: the last convolutional stage."""
        raise NotImplementedError

    def layout(self) -> Layout:
        """Return how the target layer's output is read as maps.

        Convolutions give maps. A transformer whose layers give tokens, or maps with their channels
        last, says so here (see ``networks/layout.py``); a layer named in a suite is read the same
        way.
        """
        return "maps"

    def recipe(self) -> Recipe:
        """Return how the network is trained from scratch."""
        raise NotImplementedError

    def normalisation(self) -> Normalisation | None:
        """Return the normalisation that the weights demand; None for the data set's own."""
        return None

    def pretrained(self) -> dict[str, Tensor] | None:
        """Return published weights, where a parameter asks for them."""
        return None

    def trained(self) -> bool:
        """Tell whether the network comes with weights, so that it is not trained from scratch."""
        return self.weights is not None

    def fixed_channels(self) -> tuple[str, ...]:
        """Name layers whose output channels a structured pruner must leave alone.

        The classifier is found by the harness and need not be named.
        """
        return ()
