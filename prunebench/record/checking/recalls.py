"""Do the recalls of the classes fit the accuracy over all of them, and the baseline's recalls?"""

from __future__ import annotations

from collections.abc import Iterator

from prunebench.record import Record
from prunebench.record.checking.problem import Problem

ROUNDING = 1e-6


def check_recalls(record: Record, baseline: Record | None) -> Iterator[Problem]:
    """Yield recalls that cannot be, by what else is told of the same test images."""
    known = [recall for recall in record.recalls if recall is not None]
    accuracy = record.mean("accuracy")
    if known and accuracy is not None:
        # The mean of the recalls, each weighted by the images of its class.
        low, high = min(known), max(known)
        if not low - ROUNDING <= accuracy <= high + ROUNDING:
            wrong = f"{low:.4f} to {high:.4f}, and the accuracy is {accuracy:.4f}"
            yield Problem("recalls", wrong, "recalls on both sides of the accuracy")
    if record.recalls and record.classes and len(record.recalls) != len(record.classes):
        yield Problem("recalls", f"{len(record.recalls)} recalls", f"{len(record.classes)} classes")
    if baseline is None or not (record.recalls and baseline.recalls):
        return
    if len(record.recalls) != len(baseline.recalls):
        wrong = f"recalls of {len(record.recalls)} classes"
        yield Problem("recalls", wrong, f"{len(baseline.recalls)}, as of the baseline")
        return
    for index, (ours, theirs) in enumerate(zip(record.recalls, baseline.recalls, strict=True)):
        if (ours is None) != (theirs is None):
            wrong = (
                "the baseline's test images have this class" if ours is None else "no test image"
            )
            yield Problem(f"recalls.{index}", wrong, "the same test images")
