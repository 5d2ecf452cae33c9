"""Masking: what is left of a decision, and of its map, in the image multiplied by its map.

Poppi et al. 2021, "Revisiting the Evaluation of Class Activation Mapping for Explainability".
The images multiplied by their maps pass through the network once, for all of these metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.concentration import complexity
from prunebench.metrics.confidence import confidence
from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class AverageDrop(Metric):
    """Share of the explained class's probability that is lost outside the map."""

    reads: ClassVar[tuple[Reading, ...]] = ("predictions", "maps", "masked")
    higher_is_better: ClassVar[bool | None] = False
    gives: ClassVar[Mapping[str, Scale]] = {"average_drop": Scale("quality", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``average_drop`` in [0, 1] for each image."""
        return {"average_drop": average_drop(*_before_and_after(evidence))}


class Increase(Metric):
    """Share of images whose explained class is more probable inside the map alone."""

    reads: ClassVar[tuple[Reading, ...]] = ("predictions", "maps", "masked")
    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {"increase": Scale("quality", (0, 1), each_0_or_1=True)}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``increase``, 0 or 1, for each image."""
        before, after = _before_and_after(evidence)
        undefined = before.isnan() | after.isnan()
        return {"increase": (after > before).to(before).masked_fill(undefined, float("nan"))}


class Coherency(Metric):
    """Likeness of the image's map and the map of the image multiplied by it."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps", "masked")
    higher_is_better: ClassVar[bool | None] = True
    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"variant"})
    gives: ClassVar[Mapping[str, Scale]] = {
        "coherency": Scale("quality", (0, 1)),
        "coherency_ssim": Scale("quality", (-1, 1)),
    }
    spelling: ClassVar[Mapping[str, str]] = {"ssim": "SSIM"}

    variant: Literal["pearson", "ssim"] = Field(
        "pearson",
        description="Pearson correlation moved to [0, 1], or raw SSIM as one study published",
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``coherency`` in [0, 1], or ``coherency_ssim`` in [-1, 1], for each image."""
        before, after = evidence.maps, evidence.masked_maps
        if self.variant == "pearson":
            return {"coherency": coherency(before, after)}
        from prunebench.metrics.maps import ssim

        constant = _constant(before) | _constant(after)
        return {"coherency_ssim": ssim(before, after).masked_fill(constant, 0)}


class Adcc(Metric):
    """Harmonic mean of coherency, 1 - complexity and 1 - average drop."""

    reads: ClassVar[tuple[Reading, ...]] = ("predictions", "maps", "masked")
    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {"adcc": Scale("quality", (0, 1))}
    spelling: ClassVar[Mapping[str, str]] = {"adcc": "ADCC"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``adcc`` in [0, 1] for each image."""
        values = adcc(
            coherency(evidence.maps, evidence.masked_maps),
            complexity(evidence.maps),
            average_drop(*_before_and_after(evidence)),
        )
        return {"adcc": values}


def average_drop(before: Tensor, after: Tensor) -> Tensor:
    """Return the relative loss of probability, max(0, p - o) / p (Chattopadhay et al. 2018).

    Args:
        before: Probability p of the class on the image, N.
        after: Its probability o on the image multiplied by the map, N.

    Returns:
        N values in [0, 1]; 0 where p is 0, since nothing can be lost.
    """
    return ((before - after).clamp(min=0) / before).masked_fill(before == 0, 0)


def coherency(before: Tensor, after: Tensor) -> Tensor:
    """Return the Pearson correlation of two maps as (r + 1) / 2 (Poppi et al. 2021).

    Args:
        before: Maps of the images, N×H×W in [0, 1].
        after: Maps of the images multiplied by them, N×H×W in [0, 1].

    Returns:
        N values in [0, 1]; 0 where a map is constant.
    """
    from prunebench.metrics.similarity import pearson

    constant = _constant(before) | _constant(after)
    return ((pearson(before, after) + 1) / 2).masked_fill(constant, 0)


def adcc(coherency: Tensor, complexity: Tensor, drop: Tensor) -> Tensor:
    """Return 3 / (1/coherency + 1/(1 - complexity) + 1/(1 - drop)) (Poppi et al. 2021).

    Args:
        coherency: N values in [0, 1].
        complexity: N values in [0, 1].
        drop: N values in [0, 1].

    Returns:
        N values in [0, 1], 0 where a term is 0.
    """
    # The reciprocal of 0 is infinite, and three over infinity is the 0 that is meant.
    terms = [term.clamp(0, 1) for term in (coherency, 1 - complexity, 1 - drop)]
    return (3 / (1 / terms[0] + 1 / terms[1] + 1 / terms[2])).clamp(0, 1)


def _before_and_after(evidence: Evidence) -> tuple[Tensor, Tensor]:
    """Return the explained class's probability on each image and on it times its map."""
    logits = evidence.predictions
    before = confidence(logits[evidence.explained.to(logits.device)], evidence.classes)
    after = confidence(evidence.masked_predictions, evidence.classes)
    return before, after.to(before.device)


def _constant(maps: Tensor) -> Tensor:
    """Return which of the maps N×H×W do not vary."""
    return maps.amax((1, 2)) <= maps.amin((1, 2))
