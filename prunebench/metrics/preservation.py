"""Preservation: does the compressed network still look where the baseline looked?

The measures themselves are the functions of ``maps.py`` and ``similarity.py``; the classes here
are their plugins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.metrics.structural_similarity import Window


class Preservation(Metric):
    """Base of the measures that compare a compressed network's maps with its baseline's."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps", "baseline_maps")
    higher_is_better: ClassVar[bool | None] = True


class Ssim(Preservation):
    """Structural similarity of the two maps, raw, and the share of images where it is negative."""

    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"window"})
    gives: ClassVar[Mapping[str, Scale]] = {
        "ssim|ssim_uniform": Scale("preservation", (-1, 1)),
        "ssim_negative_share": Scale("preservation", (0, 1), each_0_or_1=True, main=False),
    }
    spelling: ClassVar[Mapping[str, str]] = {"ssim": "SSIM"}

    window: Literal["gaussian", "uniform"] = Field(
        "gaussian", description="weights within a window: the paper's, or all pixels alike"
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``ssim`` in [-1, 1] and ``ssim_negative_share``, 0 or 1, for each image.

        With the other window ``ssim_uniform`` alone.
        """
        from prunebench.metrics import maps

        values = maps.ssim(evidence.baseline_maps, evidence.maps, self.window)
        if self.window != "gaussian":
            return {f"ssim_{self.window}": values}
        negative = (values < 0).to(values).masked_fill(values.isnan(), float("nan"))
        return {"ssim": values, "ssim_negative_share": negative}


class Sam(Preservation):
    """Spectral angle between the two maps, as a similarity: 1 is no angle, 0 a right one."""

    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"variant"})
    gives: ClassVar[Mapping[str, Scale]] = {"sam|sam_jet": Scale("preservation", (0, 1))}
    spelling: ClassVar[Mapping[str, str]] = {"sam": "SAM"}

    variant: Literal["spectral", "jet"] = Field(
        "spectral",
        description="angle between the flattened maps, or mean angle between the pixels' colours "
        "in the jet colour scale",
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``sam`` (``sam_jet`` for that variant) for each image."""
        from prunebench.metrics import maps

        name = "sam" if self.variant == "spectral" else f"sam_{self.variant}"
        return {name: maps.sam(evidence.baseline_maps, evidence.maps, self.variant)}


class Iou(Preservation):
    """Intersection over union of the pixels where the maps reach 0.5."""

    gives: ClassVar[Mapping[str, Scale]] = {"iou": Scale("preservation", (0, 1))}
    spelling: ClassVar[Mapping[str, str]] = {"iou": "IoU"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``iou`` for each image."""
        from prunebench.metrics import maps

        return {"iou": maps.iou(evidence.baseline_maps, evidence.maps)}


class SoftIou(Preservation):
    """Sum of the pixelwise minima of the maps over the sum of their maxima."""

    gives: ClassVar[Mapping[str, Scale]] = {"soft_iou": Scale("preservation", (0, 1))}
    spelling: ClassVar[Mapping[str, str]] = {"iou": "IoU"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``soft_iou`` for each image."""
        from prunebench.metrics import maps

        return {"soft_iou": maps.soft_iou(evidence.baseline_maps, evidence.maps)}


class Sp2ps(Preservation):
    """Harmonic mean of the maps' spectral (SAM) and spatial (SSIM) similarity, image by image."""

    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"variant"})
    gives: ClassVar[Mapping[str, Scale]] = {
        "sp2ps|sp2ps_jet|sp2ps_uniform": Scale("preservation", (0, 1))
    }
    spelling: ClassVar[Mapping[str, str]] = {"sp2ps": "Sp2PS"}

    variant: Literal["published", "jet", "uniform"] = Field(
        "published",
        description="jet: SAM of the coloured maps; uniform: SSIM by windows of equal weights",
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``sp2ps`` (``sp2ps_jet``, ``sp2ps_uniform``) for each image."""
        from prunebench.metrics import maps

        before, after = evidence.baseline_maps, evidence.maps
        name = "sp2ps" if self.variant == "published" else f"sp2ps_{self.variant}"
        spectral = maps.sam(before, after, "jet" if self.variant == "jet" else "spectral")
        window: Window = "uniform" if self.variant == "uniform" else "gaussian"
        return {name: maps.sp2ps_from(spectral, maps.ssim(before, after, window))}


class PeScore(Preservation):
    """Harmonic mean of SSIM, IoU and the constancy of the explained class's probability."""

    reads: ClassVar[tuple[Reading, ...]] = (
        "maps",
        "baseline_maps",
        "predictions",
        "baseline_predictions",
    )
    gives: ClassVar[Mapping[str, Scale]] = {"pe_score": Scale("preservation", (0, 1))}
    spelling: ClassVar[Mapping[str, str]] = {"pe": "PE"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``pe_score`` for each image."""
        from prunebench.metrics import maps
        from prunebench.metrics.confidence import confidence

        before, after = (
            confidence(logits[evidence.explained.to(logits.device)], evidence.classes)
            for logits in (evidence.baseline_predictions, evidence.predictions)
        )
        return {"pe_score": maps.pe_score(evidence.baseline_maps, evidence.maps, before, after)}


class Pearson(Preservation):
    """Correlation of the two maps' pixels."""

    gives: ClassVar[Mapping[str, Scale]] = {"pearson": Scale("preservation", (-1, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``pearson`` in [-1, 1] for each image."""
        from prunebench.metrics import similarity

        return {"pearson": similarity.pearson(evidence.baseline_maps, evidence.maps)}


class Spearman(Preservation):
    """Correlation of the ranks of the two maps' pixels."""

    gives: ClassVar[Mapping[str, Scale]] = {"spearman": Scale("preservation", (-1, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``spearman`` in [-1, 1] for each image."""
        from prunebench.metrics import similarity

        return {"spearman": similarity.spearman(evidence.baseline_maps, evidence.maps)}


class JsDivergence(Preservation):
    """Jensen-Shannon divergence between the two maps, each taken as a distribution of pixels."""

    higher_is_better: ClassVar[bool | None] = False
    unit: ClassVar[str] = "bits"
    gives: ClassVar[Mapping[str, Scale]] = {"js_divergence": Scale("distance", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``js_divergence`` in [0, 1] for each image."""
        from prunebench.metrics import similarity

        return {"js_divergence": similarity.js_divergence(evidence.baseline_maps, evidence.maps)}


class TopOverlap(Preservation):
    """Share of the baseline's highest pixels that are among the compressed network's highest."""

    gives: ClassVar[Mapping[str, Scale]] = {"top_overlap": Scale("preservation", (0, 1))}

    share: float = Field(0.1, gt=0, le=1, description="share of the pixels that are the highest")

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``top_overlap`` in [0, 1] for each image."""
        from prunebench.metrics import similarity

        values = similarity.top_overlap(evidence.baseline_maps, evidence.maps, self.share)
        return {"top_overlap": values}


class CentreDistance(Preservation):
    """Distance between the two maps' centres of mass, over the image's diagonal."""

    higher_is_better: ClassVar[bool | None] = False
    gives: ClassVar[Mapping[str, Scale]] = {"centre_distance": Scale("distance", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``centre_distance`` in [0, 1] for each image."""
        from prunebench.metrics import similarity

        values = similarity.centre_distance(evidence.baseline_maps, evidence.maps)
        return {"centre_distance": values}
