"""Filters ranked by what the loss would rise without them, to second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.filter_pruner import FilterPruner
from prunebench.pruners.weights.obd import Curvature

if TYPE_CHECKING:
    from torch import nn

    from prunebench.pruners.filters.channels import Importance


class HessianFilter(FilterPruner):
    """Removes the filters whose removal raises the loss least by its second derivatives.

    At a minimum, removing the weights w costs Σ ½·h·w², where h is the diagonal of the Hessian
    (LeCun, Denker and Solla 1990, equation 5), here that of the empirical Fisher matrix: the mean
    over images of the squared gradient. Scores of all layers are compared as they are.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.hessian:HessianFilter"
    random: ClassVar[bool] = True

    images: int = Field(1024, ge=1, description="training images the curvature is taken over")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the curvature, which ``obd`` shares."""
        return (Curvature(images=self.images),)

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return Σ ½·h·w² over a filter's weights and those of all filters coupled to it."""
        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.pruners.filters.channel_sums import sum_by_channel, sum_by_group

        curvature = context.prepared[Curvature.name]
        costs = {
            f"{name}.weight".removeprefix("."): curvature[name] * layer.weight.detach() ** 2 / 2
            for name, layer in find_prunable_layers(network).items()
        }
        return sum_by_group(sum_by_channel(network, costs), network)
