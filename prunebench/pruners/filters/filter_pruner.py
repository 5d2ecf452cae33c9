"""What all methods share that remove whole filters: from an importance to smaller layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.context import Context
from prunebench.pruners.pruner import Target
from prunebench.pruners.ranking_pruner import RankingPruner

if TYPE_CHECKING:
    from torch import nn

    from prunebench.pruners.filters.channels import Importance, Selection


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
        """Whether all that the method does is to rank filters, so that others may remove them."""
        return type(self).compress is FilterPruner.compress

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """How important filters are; the least important are removed.

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
        """How channels are chosen."""
        from prunebench.pruners.filters.channels import Selection

        return Selection(self.scope, self.rates, self.target, self.whole_groups)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Removes channels until the level is reached.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        from prunebench.network import make_masks_permanent
        from prunebench.pruners.filters.channels import remove_channels

        make_masks_permanent(network)
        importance = self.importance(network.eval(), context)
        return remove_channels(network, level, importance, context, self.selection)
