"""Whole filters taken out of the network: the smallest ones, or random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.pruners.pruner import Context, Pruner

if TYPE_CHECKING:
    from torch import nn


class L1Filter(Pruner):
    """Removes the filters with the smallest sum of absolute weights, and all that hangs on them.

    Layers whose channels are coupled (by a residual sum, a depthwise convolution) lose them
    together, ranked by the sum over the coupled filters. Across layers, a filter is ranked by its
    norm relative to the mean of its layer.
    """

    scope: Literal["global", "layerwise"] = Field(
        "global", description="one ranking of all filters, or the same fraction in every layer"
    )
    target: Literal["params", "channels", "macs"] = Field(
        "params", description="what the level is a fraction of"
    )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Removes channels until the level is reached.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        import torch_pruning as tp

        from prunebench.pruners.channels import remove_channels

        importance = tp.importance.GroupMagnitudeImportance(p=1, group_reduction="sum")
        return remove_channels(
            network, level, importance, context, scope=self.scope, target=self.target
        )


class RandomFilter(Pruner):
    """Removes random filters, and all that hangs on them."""

    random: ClassVar[bool] = True

    scope: Literal["global", "layerwise"] = Field(
        "global", description="drawn from all filters, or the same fraction in every layer"
    )
    target: Literal["params", "channels", "macs"] = Field(
        "params", description="what the level is a fraction of"
    )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Removes channels until the level is reached.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        import torch_pruning as tp

        from prunebench.pruners.channels import remove_channels
        from prunebench.seeding import seeded

        with seeded(context.seed, "random filters"):
            importance = tp.importance.RandomImportance()
            return remove_channels(
                network, level, importance, context, scope=self.scope, target=self.target
            )
