"""What the methods share that rank weights or filters, the lowest of which go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.pruner import Pruner, Scope

if TYPE_CHECKING:
    from torch import nn


class RankingPruner(Pruner):
    """Ranks weights or filters and removes the lowest, spread over the layers as asked."""

    scope: Scope = Field(
        "global",
        description="one ranking of all; the same fraction in every layer; Erdős-Rényi-Kernel "
        "densities; or as far in each layer as it is insensitive",
    )
    rates: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        {},
        description="relative rates by layer, in place of 'scope'; scaled to reach the level; "
        "other layers stay whole",
    )

    @property
    def only_ranks(self) -> bool:
        """True if the method only ranks, so that others may remove."""
        raise NotImplementedError

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for what the ranking needs that is computed once, before any level."""
        return ()

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for the method's own preparations, and the layers' sensitivity if it is needed."""
        from prunebench.pruners.sensitivity import Sensitivity

        own = self.preparations()
        measured = self.scope == "sensitivity" and not self.rates
        return (*own, Sensitivity(pruner=self)) if measured else own

    def prune_layers(
        self, network: nn.Module, context: Context, steps: int
    ) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
        """Prune one layer at a time, by this method's ranking within the layer.

        Args:
            network: The network; it is left as it is.
            context: As for ``compress``.
            steps: m: of each layer 1/m, 2/m, ... (m−1)/m go.

        Yields:
            The layer's name, and what makes the network without that part of it.
        """
        raise NotImplementedError

    def check(self, network: nn.Module, context: Context) -> None:
        """Look whether ``rates`` names layers that there are."""
        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.pruners.distribution import check_rates

        check_rates(self.rates, find_prunable_layers(network))
