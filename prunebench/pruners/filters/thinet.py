"""Filters ranked by what the next layer loses with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.filter_pruner import FilterPruner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.channels import Importance


class NextOutputs(Preparation):
    """The channels' joint contributions to sampled outputs of the next layer."""

    name: ClassVar[str] = "contributions"
    key_name: ClassVar[str] = "prunebench.pruners.filters.thinet:NextOutputs"
    random: ClassVar[bool] = True

    images: int = Field(512, ge=1, description="training images looked at")
    samples: int = Field(10, ge=1, description="outputs of the next layer sampled of each image")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Sample all layers whose channels exactly one layer reads.

        Returns:
            By layer name, the Gram matrix of its channels' contributions, C×C, float64.
        """
        import torch

        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.filters.coupling import trace
        from prunebench.pruners.filters.reconstruction import Contributions, find_readers
        from prunebench.seeding import derive

        make_masks_permanent(network)
        generator = torch.Generator().manual_seed(derive(context.seed, "sampled outputs"))
        found = find_readers(network, trace(network, context.example), context.fixed_channels)
        contributions = Contributions(network, found, self.samples, generator)
        seen = 0
        for inputs, _ in context.batches(self.images, 128):
            contributions.add(inputs)
            seen += len(inputs)
            context.progress(min(seen / self.images, 1.0), "contributions")
        return contributions.gram


class ThiNet(FilterPruner):
    """Removes the filters whose channels the next layer's outputs can best do without.

    Channels are removed one after the other, each time the one with which the removed ones
    together contribute least to the next layer's outputs. A filter's score is the error at its
    removal over that of removing all. Then the kept channels are rescaled, by least squares, to
    make up for the others. Layers whose channels several layers read stay whole.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.thinet:ThiNet"
    random: ClassVar[bool] = True

    images: int = Field(512, ge=1, description="training images looked at")
    samples: int = Field(10, ge=1, description="outputs of the next layer sampled of each image")
    rescale: bool = Field(True, description="rescale the kept channels by least squares")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for what the channels contribute to the next layers."""
        return (NextOutputs(images=self.images, samples=self.samples),)

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the relative error at a filter's removal; what was not sampled stays."""
        from prunebench.pruners.filters.feature_maps import make_importance
        from prunebench.pruners.filters.reconstruction import compute_removal_errors

        gram = context.prepared["contributions"]
        return make_importance(
            {name: compute_removal_errors(each) for name, each in gram.items()}, network
        )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Remove channels until the level is reached, and rescale those that are kept.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.filters.channels import (
            choose_channels,
            cut_and_check,
            predict_removed,
        )
        from prunebench.pruners.filters.coupling import trace
        from prunebench.pruners.filters.reconstruction import find_readers, rescale

        make_masks_permanent(network)
        importance = self.importance(network.eval(), context)
        graph = trace(network, context.example)
        chosen = choose_channels(network, graph, level, importance, context, self.selection)
        expected = predict_removed(network, graph, chosen, self.target, context)
        if self.rescale:
            found = find_readers(network, graph, context.fixed_channels)
            rescale(network, found, context.prepared["contributions"], chosen)
        cut_and_check(network, graph, chosen, expected, self.target, context)
        return network
