"""Gradual pruning: a network trains while its weights disappear, fast at first, then slower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from prunebench.errors import RequestError
from prunebench.plugins.context import Context
from prunebench.plugins.nesting import Named, Nesting
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.pruner import Pruner
from prunebench.pruners.schedule import Schedule
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import nn


class Gradual(Nesting, Pruner):
    """Removes more and more weights while the network trains (Zhu and Gupta 2017).

    Between two fractions of the training the sparsity rises from 0 to the level s as
    s·(1 − (1 − t)³), t from 0 to 1 (their equation 1). Weights that are removed stay zero.
    """

    random: ClassVar[bool] = True
    trains: ClassVar[bool] = True
    nested: ClassVar[Mapping[str, str]] = {"pruner": "pruners"}

    pruner: Named = Field(
        "l1-unstructured",
        description="what chooses the weights, as suites name it: a method that ranks single "
        "weights; its scores are computed anew at every pruning step",
    )
    training: Recipe | None = Field(
        None, description="how the network trains meanwhile; ten epochs of SGD by default"
    )
    begin: float = Field(0.0, ge=0, lt=1, description="fraction of the training before pruning")
    end: float = Field(
        0.75, gt=0, le=1, description="fraction of the training after which the level is reached"
    )
    every: float = Field(0.25, gt=0, description="epochs from one pruning step to the next")

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        chosen = self.chosen("pruner")
        if not (isinstance(chosen.plugin, MaskPruner) and chosen.plugin.only_ranks):
            raise RequestError(
                f"parameter 'pruner': {chosen.name!r} does not rank single weights; expected a "
                "method that does, such as l1-unstructured",
                location=("pruner",),
            )
        if not self.begin < self.end:
            raise ValueError(f"'begin' ({self.begin}) must come before 'end' ({self.end})")
        training = self.training
        if training and training.epochs == 0:
            raise ValueError("'training' needs epochs to prune in")
        if training and training.keep == "best" and "keep" in training.model_fields_set:
            raise ValueError("'training' keeps the last epoch: weights are left in the best")
        return self

    def recipe(self) -> Recipe:
        """Return the training; its last epoch is kept, since earlier ones have fewer zeros."""
        return (self.training or Recipe()).model_copy(update={"keep": "last"})

    def schedule(self) -> Schedule:
        """Return when weights are removed."""
        steps = round((self.end - self.begin) * self.recipe().epochs / self.every)
        return Schedule(self.begin, self.end, max(1, steps))

    def check(self, network: nn.Module, context: Context) -> None:
        """Check the request as the method that chooses the weights does."""
        self.chosen("pruner").plugin.check(network, context)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Train the network while removing weights.

        Raises:
            RequestError: Nothing would be left of a layer.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.pruners.sparsifier import Sparsifier
        from prunebench.pruners.weights.masks import apply_layer_masks

        make_masks_permanent(network)
        recipe, method = self.recipe(), self.chosen("pruner").plugin
        pruning = Sparsifier(self.schedule(), method, level, context)
        context.train(network, recipe, pruning.objective(recipe.distillation))
        layers = find_prunable_layers(network).items()
        return apply_layer_masks(network, {name: (m.weight != 0).float() for name, m in layers})
