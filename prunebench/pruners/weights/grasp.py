"""Weights ranked by the gradient flow that is lost with them: GraSP."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context
from prunebench.pruners.weights.initial_pruner import InitialPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class Grasp(InitialPruner):
    """Zeroes the weights whose removal reduces the gradient flow least, or increases it most.

    Gradient signal preservation (Wang, Zhang and Grosse 2020).
    """

    key_name: ClassVar[str] = "prunebench.pruners.weights.grasp:Grasp"
    random: ClassVar[bool] = True

    per_class: int = Field(10, ge=1, description="images of each class in the mini-batch")
    temperature: float = Field(200.0, gt=0, description="what the logits are divided by")

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return each weight w times its entry of Hg, for the gradient g and the Hessian H.

        Setting w to zero changes the squared norm of the gradient by −2w·(Hg) to first order.
        The paper's score (equation 8) is −w·(Hg) and its highest go; here the lowest do.
        """
        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.pruners.weights.derivatives import (
            compute_gradient,
            compute_hessian_product,
            draw_balanced_batches,
        )

        batch = draw_balanced_batches(context, self.per_class)
        slopes = compute_gradient(network, batch, self.temperature)
        products = compute_hessian_product(network, batch, slopes, self.temperature)
        return {
            name: layer.weight.detach() * products[name]
            for name, layer in find_prunable_layers(network).items()
        }
