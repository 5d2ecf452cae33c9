"""Agreement: how often the compressed network decides as the baseline did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Agreement(Metric):
    """Share of test images for which both networks predict the same class, right or wrong."""

    reads: ClassVar[tuple[Reading, ...]] = ("predictions", "baseline_predictions")
    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {
        "agreement": Scale("accuracy", (0, 1), each_0_or_1=True)
    }

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``agreement``: 0 or 1 for each test image."""
        pruned, baseline = evidence.predictions, evidence.baseline_predictions
        valid = ~(pruned.isnan().any(1) | baseline.isnan().any(1))
        return {"agreement": ((pruned.argmax(1) == baseline.argmax(1)) & valid).double()}
