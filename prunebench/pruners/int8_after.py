"""Quantisation of a network that was pruned and trained before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prunebench.errors import RequestError
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.nesting import Named, Nesting
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.int8 import Int8

if TYPE_CHECKING:
    from torch import nn


class Int8After(Nesting, Int8):
    """Prunes, trains what is left, and then stores weights as 8-bit numbers.

    Quantised weights cannot be trained: the suite's recovery comes too late for them, so that
    training after the pruning is part of this method.
    """

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "continuous"
    trains: ClassVar[bool] = True
    nested: ClassVar[Mapping[str, str]] = {"pruner": "pruners"}

    pruner: Named = Field(
        "l1-filter", description="how the network is pruned to the level, as suites name it"
    )
    training: Recipe | None = Field(
        None, description="fine-tuning between pruning and quantisation; none by default"
    )

    @model_validator(mode="after")
    def _has_levels(self) -> Self:
        chosen = self.chosen("pruner")
        if chosen.plugin.levels != "continuous":
            raise RequestError(
                f"parameter 'pruner': {chosen.name!r} cannot be asked for a level",
                location=("pruner",),
            )
        if isinstance(chosen.plugin, Int8):
            raise RequestError(
                f"parameter 'pruner': {chosen.name!r} quantises already", location=("pruner",)
            )
        if self.training and chosen.plugin.trains:
            raise RequestError(
                f"parameter 'training': {chosen.name!r} trains already, and one compression can "
                "train once; leave it out",
                location=("training",),
            )
        if self.training and self.training.distillation:
            raise ValueError("'training' has no teacher: 'distillation' is an option of recovery")
        return self

    def counts_channels(self) -> bool:
        """Tell whether the pruning counts channels."""
        found: bool = self.chosen("pruner").plugin.counts_channels()
        return found

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for what the pruning needs."""
        found: tuple[Preparation, ...] = self.chosen("pruner").plugin.prepare()
        return found

    def check(self, network: nn.Module, context: Context) -> None:
        """Check the request as the pruning does."""
        self.chosen("pruner").plugin.check(network, context)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Prune to the level, train, and quantise.

        Raises:
            RequestError: The level cannot be reached, or there is nothing to quantise.
        """
        from torch import nn

        from prunebench.networks.network import apply_masks, make_masks_permanent

        pruned = self.chosen("pruner").plugin.compress(network, level, context)
        if not isinstance(pruned, nn.Module):
            raise RequestError(
                f"{self.chosen('pruner').name!r} returns another architecture, which int8-after "
                "does not quantise"
            )
        masks = make_masks_permanent(pruned)
        if self.training is not None:
            apply_masks(pruned, masks)
            context.train(pruned, self.training)
        return super().compress(pruned, 0.0, context)
