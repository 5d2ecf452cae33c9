"""Soft filter pruning: filters that are zeroed after every epoch but go on being trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context
from prunebench.plugins.objective import Objective
from prunebench.pruners.filters.magnitude import L2Filter
from prunebench.pruners.filters.sparse_training import TrainingFilterPruner
from prunebench.pruners.pruner import Scope

if TYPE_CHECKING:
    from torch import nn

    from prunebench.pruners.filters.channels import Importance


class SoftFilter(TrainingFilterPruner):
    """Trains while the filters of smallest norm are set to zero after every epoch, then removes.

    Zeroed filters are trained like all others in the next epoch and may grow back; those that are
    smallest after the last one go (He, Kang, Dong, Fu and Yang 2018).
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.soft_filter:SoftFilter"
    trains: ClassVar[bool] = True

    scope: Scope = Field(
        "layerwise",
        description="the same fraction in every layer, as in the paper; one ranking of all "
        "filters; Erdős-Rényi-Kernel densities; or as far in each layer as it is insensitive",
    )

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the sum of a filter's squared weights, relative to its layer's mean."""
        return L2Filter().importance(network, context)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Train the network softly pruned to the level, then remove the smallest filters.

        Raises:
            RequestError: The level cannot be reached without emptying a layer.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.filters.channels import choose_channels, remove_channels
        from prunebench.pruners.filters.coupling import Channel, silence, trace

        make_masks_permanent(network)
        importance = self.importance(network.eval(), context)
        graph = trace(network, context.example)

        def smallest() -> list[Channel]:
            return choose_channels(network, graph, level, importance, context, self.selection)

        def zero_smallest(module: nn.Module, passed: float) -> None:
            silence(module, graph, smallest())

        smallest()  # a level that cannot be reached is refused before the training, not after it
        context.train(network, self.training, Objective(on_epoch=zero_smallest))
        return remove_channels(network, level, importance, context, self.selection)
