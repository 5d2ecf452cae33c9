"""Filters ranked by how active they are: how much, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.score_pruner import FeaturePruner, FilterScores

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.feature_maps import Features


class Activity(FilterScores):
    """The activity of each filter, over images and positions."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.activations:Activity"

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Look at the feature maps.

        Returns:
            As ``mean/LAYER``, the mean activation of each filter over the length of the layer's
            vector of them (Molchanov et al. 2017, section 2.2); as ``active/LAYER``, the
            share of positions where it is not zero, in [0, 1], as a multiple of its layer's mean.
        """
        from prunebench.pruners.filters.feature_scores import (
            average_scores,
            compute_active_shares,
            compute_mean_activations,
            divide_by_layer_mean,
        )

        def score(features: Features) -> dict[str, Tensor]:
            means = {f"mean/{k}": compute_mean_activations(v) for k, v in features.maps.items()}
            return means | {
                f"active/{k}": compute_active_shares(v) for k, v in features.maps.items()
            }

        found = average_scores(network, context, self.images, score)
        means = {k: v for k, v in found.items() if k.startswith("mean/")}
        lengths = {k: v.norm().clamp(min=1e-300) for k, v in means.items()}
        shares = {k: v for k, v in found.items() if k.startswith("active/")}
        return {k: v / lengths[k] for k, v in means.items()} | divide_by_layer_mean(shares)


class _ActivityPruner(FeaturePruner):
    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for how active the filters are, by which both methods rank."""
        return (Activity(images=self.images),)


class ActivationMean(_ActivityPruner):
    """Removes the filters whose feature maps are weakest on average."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.activations:ActivationMean"
    part: ClassVar[str] = "mean/"


class Apoz(_ActivityPruner):
    """Removes the filters whose feature maps are most often zero."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.activations:Apoz"
    part: ClassVar[str] = "active/"
