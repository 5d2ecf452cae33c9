"""Accuracy: how often the network is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor

MORE_CLASSES_THAN = 10


class Accuracy(Metric):
    """Share of test images whose largest logit is that of the true class.

    With more than ten classes also ``accuracy_top5``: the true class is among the five largest
    logits. With ten classes chance alone gives 50% there.
    """

    reads: ClassVar[tuple[Reading, ...]] = ("predictions",)
    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {
        "accuracy": Scale("accuracy", (0, 1), each_0_or_1=True),
        "accuracy_top5": Scale("accuracy", (0, 1), each_0_or_1=True, main=False),
    }

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``accuracy`` and perhaps ``accuracy_top5``: 0 or 1 for each test image."""
        logits, labels = evidence.predictions, evidence.labels
        # NaN would count as the largest logit, and so be right by accident.
        valid = ~logits.isnan().any(1)
        values = {"accuracy": (logits.argmax(1) == labels) & valid}
        if logits.shape[1] > MORE_CLASSES_THAN:
            top = logits.topk(5, dim=1).indices
            values["accuracy_top5"] = (top == labels.unsqueeze(1)).any(1) & valid
        return {name: right.double() for name, right in values.items()}
