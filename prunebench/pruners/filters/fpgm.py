"""Filters ranked by how well the others of their layer can stand in for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context
from prunebench.pruners.filters.filter_pruner import FilterPruner
from prunebench.pruners.pruner import Scope

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.channels import Importance


class Fpgm(FilterPruner):
    """Removes the filters nearest to the geometric median of their layer, and what hangs on them.

    The geometric median is the point whose distances to all filters have the smallest sum; a
    filter near it says what the others say too (He, Liu, Wang, Hu and Yang 2019).
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.fpgm:Fpgm"

    scope: Scope = Field(
        "layerwise",
        description="the same fraction in every layer, as in the paper; one ranking of all "
        "filters; Erdős-Rényi-Kernel densities; or as far in each layer as it is insensitive",
    )

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the sum of a filter's distances to all of its layer, relative to the layer's mean.

        The distances are Euclidean; over coupled layers, their sum.
        """
        return _sum_distances


def _sum_distances(group: Any) -> Tensor:
    import torch

    total = torch.zeros(len(group[0].idxs), dtype=torch.float64)
    for item in group:
        layer = item.dep.target.module
        # In double precision, or the distances of near filters would drown in rounding.
        weight = layer.weight.detach().double()
        if getattr(layer, "transposed", False):
            weight = weight.transpose(0, 1)
        filters = weight[item.idxs].flatten(1)
        distances = torch.cdist(filters, filters).sum(1)
        total.index_add_(0, torch.tensor(item.root_idxs), distances.cpu())
    return total / total.mean()
