"""Filters ranked by heatmaps of their influence, which are kept to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.score_pruner import FeaturePruner, FilterScores

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.networks import Network
    from prunebench.pruners.filters.feature_maps import Features


class Influences(FilterScores):
    """The influence of each filter on the network's predictions, and heatmaps of it."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.interpretable:Influences"

    shown: int = Field(4, ge=1, description="images of which heatmaps are kept")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Measure the influences.

        Returns:
            By layer name, the mean influence of each filter as a multiple of its layer's mean; as
            ``heatmap/LAYER``, the filters' heatmaps of some images; as ``image/shown``, these
            images (see ``filter_heatmaps.py``).
        """
        from prunebench.pruners.filters.feature_scores import (
            average_scores,
            compute_influences,
            differentiate_prediction,
        )
        from prunebench.pruners.filters.filter_heatmaps import compute_heatmaps

        def score(features: Features) -> dict[str, Tensor]:
            gradients = differentiate_prediction(features)
            return {k: compute_influences(maps, gradients[k]) for k, maps in features.maps.items()}

        scores = average_scores(network, context, self.images, score, gradients=True)
        return scores | compute_heatmaps(network, context, self.shown)


class Interpretable(FeaturePruner):
    """Removes the filters with the least influence on the network's predictions.

    The influence of a filter on one prediction is a heatmap of where it speaks for the predicted
    class: gradient times feature map, where that is positive. It is summed over positions, compared
    within its layer and averaged over images. Heatmaps of some images are kept, so that the
    pruning can be looked at.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.interpretable:Interpretable"
    reads_explanations: ClassVar[bool] = True

    shown: int = Field(4, ge=1, description="images of which heatmaps are kept")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the influences, with the heatmaps."""
        return (Influences(images=self.images, shown=self.shown),)

    def pictures(self, network: Network, context: Context) -> Mapping[str, Tensor]:
        """Draw the filters' heatmaps of one image, and which filters were removed."""
        from prunebench.pruners.filters.coupling import trace
        from prunebench.pruners.filters.filter_heatmaps import draw_picture
        from prunebench.pruners.filters.removable import find_channels

        baseline = context.baseline.eval()
        channels = find_channels(
            baseline,
            trace(baseline, context.example),
            self.importance(baseline, context),
            context.fixed_channels,
        )
        return {"filters": draw_picture(channels, context.prepared["scores"], network.module)}
