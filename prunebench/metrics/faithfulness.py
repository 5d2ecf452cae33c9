"""Insertion and deletion: do the pixels that the map points at make the decision?

Petsiuk et al. 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class AreaUnderCurve(Metric):
    """Base of the areas under a curve of confidence."""

    reads: ClassVar[tuple[Reading, ...]] = ("network", "images", "maps")

    steps: int = Field(
        16, ge=1, description="parts in which pixels are replaced; one pass of the network more"
    )

    def compute_areas(
        self, evidence: Evidence, ends: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Return the areas under the curves, M values in [0, 1]; NaN where a map is constant.

        Args:
            evidence: The metric's evidence.
            ends: Of images, those the curve starts from and those it ends with.
        """
        import torch

        from prunebench.metrics.perturbation import area_under_curve

        maps, classes = evidence.maps, evidence.classes
        values = torch.full((len(maps),), torch.nan, dtype=torch.float64, device=maps.device)
        for where, images in evidence.images():
            values[where] = area_under_curve(
                evidence.network.module, *ends(images), maps[where], classes[where], self.steps
            )
            evidence.progress(where.stop / len(maps), f"{where.stop} of {len(maps)} images")
        return values


class Insertion(AreaUnderCurve):
    """Area under the confidence while pixels are added, those the map points at first."""

    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {"insertion_auc": Scale("quality", (0, 1))}

    start: Literal["blur", "mean"] = Field(
        "blur", description="what pixels are added to: the blurred image or the mean colour"
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``insertion_auc`` in [0, 1] for each image."""
        from prunebench.metrics.perturbation import blur

        blank: Callable[[Tensor], Tensor] = blur if self.start == "blur" else _mean_colour
        return {
            "insertion_auc": self.compute_areas(evidence, lambda images: (blank(images), images)),
        }


class Deletion(AreaUnderCurve):
    """Area under the confidence while pixels are removed, those the map points at first."""

    higher_is_better: ClassVar[bool | None] = False
    gives: ClassVar[Mapping[str, Scale]] = {"deletion_auc": Scale("quality", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``deletion_auc`` in [0, 1] for each image."""
        return {
            "deletion_auc": self.compute_areas(
                evidence, lambda images: (images, _mean_colour(images))
            ),
        }


def _mean_colour(images: Tensor) -> Tensor:
    """Return images of what is 0 after normalisation."""
    return images * 0
