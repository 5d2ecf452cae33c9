"""What the methods share that were made to prune before training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from prunebench.errors import RequestError
from prunebench.plugins.context import Context
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import nn

    from prunebench.networks import Network


class InitialPruner(MaskPruner):
    """Masks the trained network, or the network as it was before its training."""

    at: Literal["trained", "initial"] = Field(
        "trained",
        description="the network that is masked: the trained one, or its initialisation, which "
        "the recovery then trains",
    )

    @model_validator(mode="after")
    def _sensitivity_is_of_the_trained_network(self) -> Self:
        if self.at == "initial" and self.scope == "sensitivity" and not self.rates:
            raise RequestError(
                "`scope: sensitivity` is measured on the trained network; with `at: initial` "
                "choose global, layerwise or erk",
                location=("scope",),
            )
        return self

    @property
    def only_ranks(self) -> bool:
        """True if it masks the network it is given."""
        return self.at == "trained"

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Mask the network, or its initialisation.

        Raises:
            RequestError: Nothing would be left of a layer, or the initialisation is not known.
        """
        if self.at == "initial":
            network = context.earlier(0).to(context.device)
        return super().compress(network, level, context)

    def notes(self, network: Network, context: Context) -> Iterable[str]:
        """Say where it ranks trained weights, for which it was not made."""
        if self.at == "trained":
            yield "made to prune a network before its training, used on trained weights"
