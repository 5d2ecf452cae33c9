"""Filters ranked by their part in the network's own explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.score_pruner import FeaturePruner, FilterScores

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.feature_maps import Features

Cam = Literal["grad-cam", "hires-cam"]


class ExplanationParts(FilterScores):
    """The part of each filter in the explanation of predictions at its layer."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.cam_guided:ExplanationParts"

    cam: Cam = Field("grad-cam", description="the explanation")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Measure the parts.

        Returns:
            By layer name, the size of each filter's part as a multiple of the mean of its layer in
            that image, averaged over images.
        """
        from prunebench.pruners.filters.feature_scores import (
            average_scores,
            compute_explanation_parts,
            differentiate_prediction,
        )

        def score(features: Features) -> dict[str, Tensor]:
            gradients, sizes = differentiate_prediction(features), {}
            for name, maps in features.maps.items():
                each = compute_explanation_parts(maps, gradients[name], self.cam).abs()
                # Within the image: where positive and negative parts nearly cancel all are huge,
                # and a few such images would decide alone.
                sizes[name] = each / each.mean(1, keepdim=True)
            return sizes

        return average_scores(network, context, self.images, score, gradients=True)


class CamGuided(FeaturePruner):
    """Removes the filters that have the smallest part in the network's own explanations.

    This is PruneBench's own method. An explanation by Grad-CAM (Selvaraju et al. 2017) or HiResCAM
    (Draelos and Carin 2020) of the predicted class is a sum over filters, so each filter has a part
    in it, and the parts sum to 1. Explained is every layer, not only the last: whatever has no part
    in the explanations can go and leave them as they are. A filter that takes away from the
    explanation has a part, too: the size of the part counts.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.cam_guided:CamGuided"
    reads_explanations: ClassVar[bool] = True

    cam: Cam = Field("grad-cam", description="the explanation")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the parts of all filters."""
        return (ExplanationParts(images=self.images, cam=self.cam),)
