"""Single weights set to zero: the smallest ones, or random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.pruners.pruner import Context, Pruner

if TYPE_CHECKING:
    from torch import nn


class L1Unstructured(Pruner):
    """Zeroes the weights of convolutions and linear layers that have the smallest magnitude.

    The level is the fraction of all those weights (not of biases, nor of normalisation layers)
    that are zero afterwards; weights that are zero already count as removed.
    """

    scope: Literal["global", "layerwise"] = Field(
        "global", description="one ranking of all weights, or the same fraction in every layer"
    )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Masks the network with torch.nn.utils.prune."""
        from prunebench.pruners.masking import mask_lowest

        return mask_lowest(network, level, scope=self.scope, score=lambda weight: weight.abs())


class RandomUnstructured(Pruner):
    """Zeroes weights of convolutions and linear layers at random.

    The level is the fraction of all those weights (not of biases, nor of normalisation layers)
    that are zero afterwards; weights that are zero already count as removed.
    """

    random: ClassVar[bool] = True

    scope: Literal["global", "layerwise"] = Field(
        "global", description="drawn from all weights, or the same fraction in every layer"
    )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Masks the network with torch.nn.utils.prune."""
        import torch

        from prunebench.pruners.masking import mask_lowest
        from prunebench.seeding import derive

        # Drawn on the processor, so that a GPU removes the same weights.
        generator = torch.Generator().manual_seed(derive(context.seed, "random weights"))

        def score(weight: torch.Tensor) -> torch.Tensor:
            # 1 is added because 0 is the score of what is gone already.
            return 1 + torch.rand(weight.shape, generator=generator)

        return mask_lowest(network, level, scope=self.scope, score=score)
