"""Filters ranked by the rank of their feature maps as matrices (HRank)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.score_pruner import FeaturePruner, FilterScores
from prunebench.pruners.pruner import Scope

if TYPE_CHECKING:
    from torch import Tensor, nn


class FeatureRanks(FilterScores):
    """The mean rank of each filter's feature maps (Lin et al. 2020)."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.hrank:FeatureRanks"

    images: int = Field(768, ge=1, description="training images looked at")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Compute the ranks: by layer name, means over the images in [0, min(h, w)], C."""
        from prunebench.pruners.filters.feature_scores import average_scores, compute_ranks

        return average_scores(
            network,
            context,
            self.images,
            lambda features: {name: compute_ranks(maps) for name, maps in features.maps.items()},
        )


class HRank(FeaturePruner):
    """Removes the filters whose feature maps have the lowest rank as matrices.

    Ranks of maps of different sizes do not compare: the level is spread over the layers evenly,
    or by ``rates``.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.hrank:HRank"

    images: int = Field(768, ge=1, description="training images looked at")
    scope: Scope = Field("layerwise", description="how the level is spread over the layers")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the mean ranks."""
        return (FeatureRanks(images=self.images),)
