"""Weights ranked by what their removal costs to second order: optimal brain damage."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.weights.mask_pruner import MaskPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Curvature(Preparation):
    """The diagonal of the loss's Hessian over some training images; all levels share it."""

    name: ClassVar[str] = "curvature"
    key_name: ClassVar[str] = "prunebench.pruners.weights.obd:Curvature"
    random: ClassVar[bool] = True

    kind: Literal["fisher", "hutchinson"] = Field("fisher", description="how it is estimated")
    images: int = Field(1024, ge=1, description="training images looked at")
    probes: int = Field(10, ge=1, description="random vectors for each batch, for hutchinson")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Estimate the diagonal's entries for the weights of each prunable layer, by layer name."""
        from prunebench.pruners.weights.curvature import (
            estimate_fisher_diagonal,
            estimate_hessian_diagonal,
        )
        from prunebench.pruners.weights.derivatives import BATCH
        from prunebench.seeding import derive

        pairs = context.batches(self.images, BATCH)
        if self.kind == "fisher":
            return estimate_fisher_diagonal(network.eval(), pairs)
        return estimate_hessian_diagonal(
            network.eval(), pairs, self.probes, derive(context.seed, "probes")
        )


class OptimalBrainDamage(MaskPruner):
    """Zeroes the weights whose removal raises the loss least by its second derivatives.

    LeCun, Denker and Solla 1990: at a minimum, removing the weight w costs ½·h·w², where h is its
    entry on the diagonal of the Hessian.
    """

    key_name: ClassVar[str] = "prunebench.pruners.weights.obd:OptimalBrainDamage"
    random: ClassVar[bool] = True

    curvature: Literal["fisher", "hutchinson"] = Field(
        "fisher",
        description="h as the mean over images of the squared gradient, or from the Hessian's "
        "products with random vectors",
    )
    images: int = Field(1024, ge=1, description="training images the curvature is taken over")
    probes: int = Field(10, ge=1, description="random vectors for each batch, for hutchinson")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the curvature."""
        return (Curvature(kind=self.curvature, images=self.images, probes=self.probes),)

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return ½·|h|·w² of each weight: the paper's saliency, of the size of the curvature.

        The paper takes every h to be positive, as it is at a minimum; where ``hutchinson`` finds a
        negative one, nothing says that the loss gains by the weight's removal.
        """
        from prunebench.networks.prunable_layers import find_prunable_layers

        curvature = context.prepared[Curvature.name]
        return {
            name: curvature[name].abs() * layer.weight.detach().square() / 2
            for name, layer in find_prunable_layers(network).items()
        }
