"""Concentration: on how much of the image does a map lie?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf, log
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor

# Bounds the memory that float64 copies take.
CHUNK = 64


class Complexity(Metric):
    """How much of the image the map covers."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps",)
    higher_is_better: ClassVar[bool | None] = False
    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"variant"})
    gives: ClassVar[Mapping[str, Scale]] = {
        "complexity": Scale("quality", (0, 1)),
        "complexity_l1norm": Scale("quality", (0, inf)),
    }

    variant: Literal["mean", "l1norm"] = Field(
        "mean",
        description="mean of the map, or its matrix 1-norm (largest sum of a column), which grows "
        "with the size of the images",
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``complexity`` in [0, 1], or ``complexity_l1norm`` in [0, H], for each image."""
        if self.variant == "mean":
            return {"complexity": complexity(evidence.maps)}
        return {"complexity_l1norm": l1_norm(evidence.maps)}


class Sparseness(Metric):
    """Gini index of the map: 0 for an even map, towards 1 for a single pixel."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps",)
    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {"sparseness": Scale("quality", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``sparseness`` in [0, 1) for each image."""
        return {"sparseness": gini(evidence.maps)}


class Entropy(Metric):
    """Shannon entropy of the map normalised to sum 1, as a share of that of an even map."""

    reads: ClassVar[tuple[Reading, ...]] = ("maps",)
    higher_is_better: ClassVar[bool | None] = False
    gives: ClassVar[Mapping[str, Scale]] = {"entropy": Scale("quality", (0, 1))}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``entropy`` in [0, 1] for each image."""
        return {"entropy": entropy(evidence.maps)}


def complexity(maps: Tensor) -> Tensor:
    """Return the mean of each map, Σ|map| / (H·W).

    Args:
        maps: N×H×W in [0, 1].

    Returns:
        N values in [0, 1]; 0 for a zero map.
    """
    return _each(maps, lambda chunk: chunk.abs().mean((1, 2)).clamp(max=1))


def l1_norm(maps: Tensor) -> Tensor:
    """Return the matrix 1-norm of each map: the largest sum of a column.

    Args:
        maps: N×H×W in [0, 1].

    Returns:
        N values in [0, H].
    """
    return _each(maps, lambda chunk: chunk.abs().sum(1).amax(1))


def gini(maps: Tensor) -> Tensor:
    """Return the Gini index of each map's pixels (Hurley & Rickard 2009).

    Args:
        maps: N×H×W in [0, 1].

    Returns:
        N values in [0, 1 - 1/(H·W)]: 0 for a constant map; NaN for a zero map.
    """
    return _each(maps, _gini)


def entropy(maps: Tensor) -> Tensor:
    """Return the Shannon entropy in bits of each map with sum 1, divided by log2(H·W).

    Args:
        maps: N×H×W in [0, 1].

    Returns:
        N values in [0, 1]: 1 for a constant map, 0 for a single pixel; NaN for a zero map and for
        maps of one pixel.
    """
    return _each(maps, _entropy)


def _gini(maps: Tensor) -> Tensor:
    import torch

    pixels = maps.flatten(1).clamp(min=0).sort(1).values
    count = pixels.shape[1]
    # The published 1 - 2 Σ x_k/|x| (N - k + 1/2)/N, with both sums joined into one.
    weights = 2 * torch.arange(1, count + 1, device=maps.device).to(pixels) - count - 1
    return (pixels @ weights / (count * pixels.sum(1))).clamp(min=0)


def _entropy(maps: Tensor) -> Tensor:
    pixels = maps.flatten(1).clamp(min=0)
    share = pixels / pixels.sum(1, keepdim=True)
    even = log(pixels.shape[1])
    if even == 0:
        return share[:, 0] * float("nan")
    return (-share.xlogy(share).sum(1) / even).clamp(0, 1)


def _each(maps: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    import torch

    return torch.cat([measure(chunk.double()) for chunk in torch.split(maps, CHUNK)])
