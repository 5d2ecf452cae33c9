"""Comparing heatmaps: how much of the baseline's map X is left in the pruned network's map Y.

Every function takes N×H×W maps in [0, 1] and returns N float64 values, each of which depends on
its own pair of maps only. One rule holds for all: where both maps are zero the value is
undefined (NaN), since a network that sees nothing is not preserved; where exactly one is zero it
is the worst value of the measure's range (-1 for SSIM, 0 for the others).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import pi
from typing import Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm

from prunebench.errors import RequestError, did_you_mean
from prunebench.metrics.structural_similarity import SIDE, Window, structural_similarity

Variant = Literal["spectral", "jet"]

THRESHOLD = 0.5
# Small chunks stay in a processor's cache; large ones fill a GPU. Either bounds the memory.
CHUNK_PIXELS = {"cpu": 2**16, "cuda": 2**23}
# Maps that were resized may overshoot 1 by rounding.
TOLERANCE = 1e-6


def ssim(a: Tensor, b: Tensor, window: Window = "gaussian") -> Tensor:
    """Compute structural similarity, raw (Wang et al. 2004, equation 13).

    Gaussian window of 11×11 pixels, σ = 1.5, K = (0.01, 0.03), data range 1, population
    covariance, mean over the windows that fit. Below 11 pixels the largest odd window that fits.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.
        window: ``uniform`` for scikit-image's default in place of the Gaussian window: 7×7, all
            pixels alike, sample covariance.

    Returns:
        N values in [-1, 1], 1 for identical maps.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1]; no such window.

    Example:
        >>> import torch
        >>> from prunebench.metrics import ssim
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> ssim(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.1463], dtype=torch.float64)
    """
    if window not in SIDE:
        raise RequestError(f"unknown window {window!r} of SSIM; {did_you_mean(window, SIDE)}")
    return compare(a, b, partial(structural_similarity, window=window), worst=-1.0)


def sam(a: Tensor, b: Tensor, variant: Variant = "spectral") -> Tensor:
    """Compute the spectral angle as a similarity, 1 - (2/π)·θ (SAM, Kruse et al. 1993).

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.
        variant: ``spectral``: θ is the angle between the two flattened maps. ``jet``: the mean
            over pixels of the angle between the two colours of a pixel in the jet colour scale.

    Returns:
        N values in [0, 1], 1 for maps that are equal (``spectral``: up to a factor).

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1]; no such variant.

    Example:
        >>> import torch
        >>> from prunebench.metrics import sam
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> sam(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.3333], dtype=torch.float64)
    """
    variants: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"spectral": _sam, "jet": _sam_jet}
    if variant not in variants:
        raise RequestError(f"unknown variant {variant!r} of SAM; {did_you_mean(variant, variants)}")
    return compare(a, b, variants[variant])


def sp2ps(a: Tensor, b: Tensor) -> Tensor:
    """Compute Sp2PS, the harmonic mean of SAM and max(SSIM, 0) (Sp2PS paper, equation 8).

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [0, 1], 1 for identical maps; their mean is the published score.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import sp2ps
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> sp2ps(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.2033], dtype=torch.float64)
    """
    return sp2ps_from(sam(a, b), ssim(a, b))


def sp2ps_from(spectral: Tensor, spatial: Tensor) -> Tensor:
    """Compute Sp2PS from what ``sam`` and ``ssim`` gave, N values each."""
    return _harmonic_mean(spectral, spatial.clamp(min=0))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute intersection over union of the pixels that reach 0.5.

    Maps that never reach 0.5 (min-max normalised maps always do) select nothing; where neither
    selects anything the value is undefined, too.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [0, 1], 1 for identical maps.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import iou
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> iou(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.3333], dtype=torch.float64)
    """
    return compare(a, b, _iou)


def soft_iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute soft intersection over union, Σ min(X, Y) / Σ max(X, Y).

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [0, 1], 1 for identical maps.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import soft_iou
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> soft_iou(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.3333], dtype=torch.float64)
    """
    return compare(a, b, _soft_iou)


def pe_score(a: Tensor, b: Tensor, confidence_a: Tensor, confidence_b: Tensor) -> Tensor:
    """Compute PE-score, the harmonic mean of max(SSIM, 0), IoU and 1 - |change of confidence|.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.
        confidence_a: The baseline's probability of the explained class, N.
        confidence_b: The pruned network's probability of the same class, N.

    Returns:
        N values in [0, 1], 1 for identical maps and confidences.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1]; there is not one
            probability in [0, 1] for each map.
    """
    return pe_score_from(ssim(a, b), iou(a, b), confidence_a, confidence_b)


def pe_score_from(
    similarity: Tensor, overlap: Tensor, confidence_a: Tensor, confidence_b: Tensor
) -> Tensor:
    """Compute PE-score from what ``ssim`` and ``iou`` gave and confidences, N values each.

    Raises:
        RequestError: There is not one probability in [0, 1] for each map.
    """
    confidences = [c.to(similarity) for c in (confidence_a, confidence_b)]
    for confidence in confidences:
        if confidence.shape != similarity.shape:
            raise RequestError(
                f"PE-score needs one confidence for each of {len(similarity)} maps, "
                f"found shape {tuple(confidence.shape)}"
            )
        _check_range("confidences", confidence)
    change = (confidences[0] - confidences[1]).abs().clamp(max=1)
    return _harmonic_mean(similarity.clamp(min=0), overlap, 1 - change)


def compare(
    a: Tensor, b: Tensor, measure: Callable[[Tensor, Tensor], Tensor], worst: float = 0.0
) -> Tensor:
    """Apply a measure chunk by chunk, in float64, with the rule about zero maps.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.
        measure: Of two float64 chunks n×H×W, n values.
        worst: The value where exactly one map is zero.

    Returns:
        N float64 values, NaN where both maps are zero.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].
    """
    _check_shapes(a, b)
    values = torch.empty(len(a), dtype=torch.float64, device=a.device)
    pixels = CHUNK_PIXELS.get(a.device.type, CHUNK_PIXELS["cpu"])
    size = max(1, pixels // a.shape[1:].numel())
    with torch.no_grad():
        for start in range(0, len(a), size):
            x, y = (m[start : start + size].to(values) for m in (a, b))
            _check_range("maps", x)
            _check_range("maps", y)
            zero_x, zero_y = x.amax((1, 2)) <= 0, y.amax((1, 2)) <= 0
            found = measure(x, y)
            found[zero_x != zero_y] = worst
            found[zero_x & zero_y] = torch.nan
            values[start : start + size] = found
    return values


def _check_shapes(a: Tensor, b: Tensor) -> None:
    for maps in (a, b):
        if not isinstance(maps, Tensor):
            raise RequestError(f"maps must be tensors N×H×W, found {type(maps).__name__}")
        if maps.ndim != 3 or 0 in maps.shape[1:]:
            raise RequestError(f"maps must be N×H×W, found shape {tuple(maps.shape)}")
    if a.shape != b.shape:
        raise RequestError(
            f"maps to compare must have one shape, found {tuple(a.shape)} and {tuple(b.shape)}"
        )


def _check_range(what: str, values: Tensor) -> None:
    if not len(values):
        return
    low, high = (extreme.item() for extreme in torch.aminmax(values))
    # Written so that NaN fails it, too.
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        raise RequestError(f"{what} must lie in [0, 1], found values from {low:g} to {high:g}")


def _sam(x: Tensor, y: Tensor) -> Tensor:
    return _similarity(_angle(x.flatten(1), y.flatten(1)))


def _sam_jet(x: Tensor, y: Tensor) -> Tensor:
    return _similarity(_angle(_jet(x), _jet(y)).mean((1, 2)))


def _similarity(angle: Tensor) -> Tensor:
    """Return 1 for no angle, 0 for a right one."""
    return (1 - 2 / pi * angle).clamp(0, 1)


def _angle(u: Tensor, v: Tensor) -> Tensor:
    """Return angles in [0, π/2] between non-negative vectors along the last dimension.

    2·atan2(|u-v|, |u+v|) on unit vectors: unlike arccos it is exact where they are parallel.
    """
    u, v = (_unit(vector) for vector in (u, v))
    return 2 * torch.atan2(vector_norm(u - v, dim=-1), vector_norm(u + v, dim=-1))


def _unit(vectors: Tensor) -> Tensor:
    # By the largest entry first, so that squares of tiny entries do not vanish.
    vectors = vectors / vectors.amax(-1, keepdim=True)
    lengths: Tensor = vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / lengths


def _jet(maps: Tensor) -> Tensor:
    """Colour maps in [0, 1] from dark blue over green to dark red; N×H×W×3 in [0, 1]."""
    centres = torch.tensor([3.0, 2.0, 1.0], dtype=maps.dtype, device=maps.device)
    return (1.5 - (4 * maps.unsqueeze(-1) - centres).abs()).clamp(0, 1)


def _iou(x: Tensor, y: Tensor) -> Tensor:
    high_x, high_y = x >= THRESHOLD, y >= THRESHOLD
    return (high_x & high_y).sum((1, 2)).to(x) / (high_x | high_y).sum((1, 2))


def _soft_iou(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(x, y).sum((1, 2)) / torch.maximum(x, y).sum((1, 2))


def _harmonic_mean(*terms: Tensor) -> Tensor:
    """Return the harmonic mean of each image's terms: 0 where one is 0, NaN where one is NaN."""
    stacked = torch.stack(terms)
    mean = len(terms) / stacked.reciprocal().sum(0)
    return torch.where(stacked.amin(0) == 0, torch.zeros_like(mean), mean)
