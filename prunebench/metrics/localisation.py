"""Localisation: does a network look at the object, where the data set says what that is?

The measures themselves are the functions of ``object_masks.py``; the classes here are their
plugins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Localisation(Metric):
    """Base of the measures that compare maps with the data set's masks or boxes."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps", "masks")
    higher_is_better: ClassVar[bool | None] = True


class MaskIou(Localisation):
    """Soft intersection over union of the map and the object's mask."""

    gives: ClassVar[Mapping[str, Scale]] = {"mask_iou": Scale("quality", (0, 1))}
    spelling: ClassVar[Mapping[str, str]] = {"iou": "IoU"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``mask_iou`` in [0, 1] for each image."""
        from prunebench.metrics import object_masks

        return {"mask_iou": object_masks.mask_iou(evidence.maps, evidence.masks)}


class PointingGame(Localisation):
    """Whether the highest pixel of the map is on the object."""

    gives: ClassVar[Mapping[str, Scale]] = {
        "pointing_game": Scale("quality", (0, 1), each_0_or_1=True)
    }

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``pointing_game``, 0 or 1, for each image."""
        from prunebench.metrics import object_masks

        return {"pointing_game": object_masks.pointing_game(evidence.maps, evidence.masks)}


class RelevanceMass(Localisation):
    """Share of the map's mass that is on the object."""

    gives: ClassVar[Mapping[str, Scale]] = {"relevance_mass": Scale("quality", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``relevance_mass`` in [0, 1] for each image."""
        from prunebench.metrics import object_masks

        return {"relevance_mass": object_masks.relevance_mass(evidence.maps, evidence.masks)}
