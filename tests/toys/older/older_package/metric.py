"""On how much of the image two maps agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, NotApplicable, Reading

if TYPE_CHECKING:
    from torch import Tensor


class Overlap(Metric):
    """Percentage of the pixels on which the maps of baseline and pruned network agree."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps", "baseline_maps")
    told: ClassVar[frozenset[str]] = frozenset({"tolerance"})
    higher_is_better: ClassVar[bool | None] = True
    unit: ClassVar[str] = "%"

    tolerance: float = Field(0.1, ge=0, le=1)
    power: float = 1.0

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        ours, theirs = evidence.maps, evidence.baseline_maps
        if len(ours) == 0:
            raise NotApplicable("there are no maps")
        agree = (ours - theirs).abs() ** self.power <= self.tolerance
        name = f"older_overlap_{round(100 * self.tolerance)}"
        return {name: 100 * agree.double().mean((1, 2))}
