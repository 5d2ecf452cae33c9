"""What all methods share that remove whole filters: from an importance to smaller layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context
from prunebench.pruners.pruner import Target
from prunebench.pruners.ranking_pruner import RankingPruner

if TYPE_CHECKING:
    from torch import nn

    from prunebench.pruners.filters.channels import Importance, Selection
    from prunebench.pruners.filters.coupling import Channel


class FilterPruner(RankingPruner):
    """Removes the filters of least importance, and all that hangs on them.

    Layers whose channels are coupled (by a residual sum, a depthwise convolution) lose them
    together.
    """

    whole_groups: ClassVar[bool] = False
    """Whether the importance sees, besides the coupled filters, their normalisation and the
    weights that read them."""

    target: Target = Field("params", description="what the level is a fraction of")

    @property
    def only_ranks(self) -> bool:
        """True if the method only ranks filters, so that others may remove them."""
        return type(self).compress is FilterPruner.compress

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return how important filters are; the least important are removed.

        Args:
            network: The network, in evaluation mode; gradients may be left in it.
            context: As for ``compress``.

        Returns:
            One of ``torch_pruning.importance``, or a function like them: it is given a group (its
            items name layers and the indices of their channels) and returns a score for each
            channel, or None where the group must stay.
        """
        raise NotImplementedError

    @property
    def selection(self) -> Selection:
        """The options by which channels are chosen."""
        from prunebench.pruners.filters.channels import Selection

        return Selection(self.scope, self.rates, self.target, self.whole_groups)

    def check(self, network: nn.Module, context: Context) -> None:
        """Look whether there are channels that can be removed, and whether ``rates`` names some.

        Raises:
            RequestError: There are none, or a rate is given for a layer that keeps all.
        """
        from prunebench.pruners.distribution import check_rates
        from prunebench.pruners.filters.removable import find_removable_layers

        super().check(network, context)
        found = find_removable_layers(network, context.example, context.fixed_channels)
        check_rates(self.rates, found)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Remove channels until the level is reached.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.filters.channels import remove_channels

        make_masks_permanent(network)
        importance = self.importance(network.eval(), context)
        return remove_channels(network, level, importance, context, self.selection)

    def prune_layers(
        self, network: nn.Module, context: Context, steps: int
    ) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
        """Silence the least important channels of one layer at a time."""
        from prunebench.pruners.filters.coupling import trace
        from prunebench.pruners.filters.removable import find_channels

        working = copy.deepcopy(network)
        importance = self.importance(working, context)
        channels = find_channels(
            working,
            trace(working, context.example),
            importance,
            context.fixed_channels,
            self.whole_groups,
        )
        for name in dict.fromkeys(channel.layer for channel in channels):
            own = [channel for channel in channels if channel.layer == name]
            for k in range(1, steps):
                lowest = own[: round(len(own) * k / steps)]
                yield name, partial(_silence_channels, network, context, lowest)


def _silence_channels(network: nn.Module, context: Context, channels: list[Channel]) -> nn.Module:
    from prunebench.pruners.filters.coupling import silence, trace

    copied = copy.deepcopy(network)
    silence(copied, trace(copied, context.example), channels)
    return copied
