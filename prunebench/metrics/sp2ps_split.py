"""Sp2PS in parts: where the prediction was kept and where it flipped, and class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Sp2psSplit(Metric):
    """Sp2PS of the images whose prediction was kept, of those where it flipped, of each class.

    A part without images is left out.
    """

    reads: ClassVar[tuple[Reading, ...]] = (
        "maps",
        "baseline_maps",
        "predictions",
        "baseline_predictions",
    )
    higher_is_better: ClassVar[bool | None] = True
    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"by"})
    gives: ClassVar[Mapping[str, Scale]] = {
        "sp2ps_kept|sp2ps_flipped": Scale("preservation", (0, 1), images="some"),
        r"sp2ps_class_\d+": Scale("preservation", (0, 1), images="class"),
    }
    spelling: ClassVar[Mapping[str, str]] = {"sp2ps": "Sp2PS"}

    by: Literal["prediction", "class", "both"] = Field(
        "both",
        description="split by whether the compressed network predicts the baseline's class, by "
        "the class explained, or by each",
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``sp2ps_kept``, ``sp2ps_flipped`` and ``sp2ps_class_NUMBER``.

        Each has one value for each image of that part alone.
        """
        from prunebench.metrics import maps

        values = maps.sp2ps(evidence.baseline_maps, evidence.maps)
        parts = {name: values[part.to(values.device)] for name, part in self._parts(evidence)}
        return {name: part for name, part in parts.items() if len(part)}

    def _parts(self, evidence: Evidence) -> Iterator[tuple[str, Tensor]]:
        """Yield names of the parts, and which images are in them, M booleans."""
        if self.by != "class":
            kept = _kept(evidence)
            yield from (("sp2ps_kept", kept), ("sp2ps_flipped", ~kept))
        if self.by != "prediction":
            classes = evidence.classes
            for number in sorted(set(classes.tolist())):
                yield f"sp2ps_class_{number}", classes == number


def _kept(evidence: Evidence) -> Tensor:
    """Return whether both networks predict one class, M; NaN predicts nothing."""
    pruned, baseline = (
        logits[evidence.explained.to(logits.device)]
        for logits in (evidence.predictions, evidence.baseline_predictions)
    )
    valid = ~(pruned.isnan().any(1) | baseline.isnan().any(1))
    return (pruned.argmax(1) == baseline.argmax(1)) & valid
