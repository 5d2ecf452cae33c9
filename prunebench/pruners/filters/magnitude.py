"""Whole filters ranked without data: the smallest ones, or random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prunebench.plugins.context import Context
from prunebench.pruners.filters.filter_pruner import FilterPruner

if TYPE_CHECKING:
    from torch import nn

    from prunebench.pruners.filters.channels import Importance


class L1Filter(FilterPruner):
    """Removes the filters with the smallest sum of absolute weights, and all that hangs on them.

    Layers whose channels are coupled (by a residual sum, a depthwise convolution) lose them
    together, ranked by the sum over the coupled filters. Across layers, a filter is ranked by its
    norm relative to the mean of its layer.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.magnitude:L1Filter"

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the sum of a filter's absolute weights, relative to its layer's mean."""
        import torch_pruning as tp

        found: Importance = tp.importance.GroupMagnitudeImportance(p=1, group_reduction="sum")
        return found


class L2Filter(FilterPruner):
    """Removes the filters with the smallest Euclidean norm, and all that hangs on them.

    Coupled layers lose filters together, ranked by the norm of all coupled filters taken as one.
    Across layers, a filter is ranked by its squared norm relative to the mean of its layer.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.magnitude:L2Filter"

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the sum of a filter's squared weights, relative to its layer's mean."""
        import torch_pruning as tp

        found: Importance = tp.importance.GroupMagnitudeImportance(p=2, group_reduction="sum")
        return found


class LampFilter(FilterPruner):
    """Removes the filters that hold the smallest part of what is left of their layer.

    The score of Lee, Park, Mo, Ahn and Shin 2021, with the squared norm of a filter in place of
    that of a weight. The largest filter of every layer has the score 1, so that no layer is
    emptied before all others are down to one filter.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.magnitude:LampFilter"

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return a filter's squared norm over the sum of its layer's that are not smaller."""
        import torch_pruning as tp

        found: Importance = tp.importance.LAMPImportance(group_reduction="sum")
        return found


class RandomFilter(FilterPruner):
    """Removes random filters, and all that hangs on them."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.magnitude:RandomFilter"
    random: ClassVar[bool] = True

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return a random number for each filter."""
        import torch

        from prunebench.seeding import derive

        # Drawn on the processor, so that a GPU removes the same filters.
        generator = torch.Generator().manual_seed(derive(context.seed, "random filters"))
        return lambda group: torch.rand(len(group[0].idxs), generator=generator)
