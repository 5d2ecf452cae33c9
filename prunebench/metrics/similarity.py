"""More ways of comparing heatmaps: correlation, divergence, highest pixels, centre of mass.

As in ``maps.py``, every function takes N×H×W maps in [0, 1] and returns N float64 values: NaN
where both maps are zero, the worst value of the measure's range where exactly one is.
"""

from __future__ import annotations

from functools import partial
from math import ceil, hypot, log

import torch
from torch import Tensor
from torch.linalg import vector_norm

from prunebench.errors import RequestError
from prunebench.metrics.maps import compare

# 0.07 · 100 is 7.000000000000001, and means 7 pixels.
ROUNDING = 1e-9
SMALLEST = torch.finfo(torch.float64).tiny
LN2 = log(2)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Compute the Pearson correlation of the maps' pixels.

    A constant map varies with nothing: against one that is not, the value is -1, the worst;
    between two constant maps it is undefined (NaN). Normalised maps are constant only if zero.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [-1, 1], 1 for maps that are equal up to scale and offset.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import pearson
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> pearson(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.3333], dtype=torch.float64)
    """
    return compare(a, b, _pearson, worst=-1.0)


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Compute the Spearman correlation: Pearson's of the pixels' ranks.

    Equal pixels share their mean rank.
    Constant maps are treated as in ``pearson``.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [-1, 1], 1 for maps that order their pixels alike.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import spearman
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> spearman(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.3333], dtype=torch.float64)
    """
    return compare(a, b, _spearman, worst=-1.0)


def js_divergence(a: Tensor, b: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence in bits of maps with sum 1 (Lin 1991).

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [0, 1], 0 for maps that are equal up to a factor, 1 for disjoint ones.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import js_divergence
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> js_divergence(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.5000], dtype=torch.float64)
    """
    return compare(a, b, _js_divergence, worst=1.0)


def top_overlap(a: Tensor, b: Tensor, share: float = 0.1) -> Tensor:
    """Return the share of the highest pixels that the maps have in common, |intersection| / k.

    The k = ⌈share · H·W⌉ highest pixels of each; of equal pixels the first ones, row by row.

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.
        share: Share of the pixels that are the highest, in (0, 1].

    Returns:
        N values in [0, 1], 1 where the pixels are the same.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1]; the share does.

    Example:
        >>> import torch
        >>> from prunebench.metrics import top_overlap
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> top_overlap(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.4615], dtype=torch.float64)
    """
    if not 0 < share <= 1:
        raise RequestError(f"top overlap: share must lie in (0, 1], found {share}")
    return compare(a, b, partial(_top_overlap, share=share))


def centre_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the distance between the maps' centres of mass over the diagonal, √(H² + W²).

    Args:
        a: Baseline maps in [0, 1], N×H×W.
        b: Pruned maps in [0, 1], N×H×W.

    Returns:
        N values in [0, 1], 0 for a common centre.

    Raises:
        RequestError: The maps differ in shape, are not N×H×W, or leave [0, 1].

    Example:
        >>> import torch
        >>> from prunebench.metrics import centre_distance
        >>> a = torch.zeros(1, 16, 16)
        >>> a[0, 4:12, 4:12] = 1  # a square
        >>> centre_distance(a, a.roll(4, dims=2))  # moved by half its width
        tensor([0.1768], dtype=torch.float64)
    """
    return compare(a, b, _centre_distance, worst=1.0)


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    (x, varies_x), (y, varies_y) = (_standardise(m.flatten(1)) for m in (x, y))
    values = (x * y).sum(1).clamp(-1, 1)
    values[varies_x != varies_y] = -1.0
    values[~varies_x & ~varies_y] = torch.nan
    return values


def _standardise(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return pixels n×P with mean 0 and length 1, and which of the n rows vary at all."""
    low, high = torch.aminmax(pixels, dim=1, keepdim=True)
    # By the range first, so that squares of tiny differences do not vanish.
    centred = (pixels - low) / (high - low)
    centred = centred - centred.mean(1, keepdim=True)
    return centred / vector_norm(centred, dim=1, keepdim=True), (high > low).squeeze(1)


def _spearman(x: Tensor, y: Tensor) -> Tensor:
    return _pearson(*(_ranks(m.flatten(1)) for m in (x, y)))


def _ranks(pixels: Tensor) -> Tensor:
    """Return ranks from 0 of pixels n×P in their row: equal ones share their mean rank."""
    ordered = pixels.sort(dim=1).values
    first = torch.searchsorted(ordered, pixels)
    behind = torch.searchsorted(ordered, pixels, right=True)
    return (first + behind - 1).to(pixels) / 2


def _js_divergence(x: Tensor, y: Tensor) -> Tensor:
    p, q = (_distribution(m) for m in (x, y))
    total = (p + q).clamp(min=SMALLEST)
    divergences = [torch.xlogy(d, 2 * d / total).sum(1) for d in (p, q)]
    return ((divergences[0] + divergences[1]) / (2 * LN2)).clamp(0, 1)


def _distribution(maps: Tensor) -> Tensor:
    """Return maps n×H×W as n×P with sum 1; what rounding left below 0 is 0."""
    pixels = maps.flatten(1).clamp(min=0)
    return pixels / pixels.sum(1, keepdim=True)


def _top_overlap(x: Tensor, y: Tensor, share: float) -> Tensor:
    count = max(1, ceil(share * x[0].numel() - ROUNDING)) if len(x) else 1
    in_x, in_y = (_highest(m.flatten(1), count) for m in (x, y))
    return (in_x & in_y).sum(1).to(x) / count


def _highest(pixels: Tensor, count: int) -> Tensor:
    """Return which pixels n×P are the ``count`` highest of their row."""
    order = pixels.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(pixels, dtype=torch.bool).scatter_(1, order, True)


def _centre_distance(x: Tensor, y: Tensor) -> Tensor:
    height, width = x.shape[1:]
    apart = _centre(x) - _centre(y)
    distances: Tensor = vector_norm(apart, dim=1)
    return (distances / hypot(height, width)).clamp(max=1)


def _centre(maps: Tensor) -> Tensor:
    """Return row and column of the centre of mass of maps n×H×W, n×2 in pixels."""
    mass = _distribution(maps).view_as(maps)
    rows, columns = (torch.arange(n, device=maps.device).to(maps) for n in maps.shape[1:])
    return torch.stack([mass.sum(2) @ rows, mass.sum(1) @ columns], dim=1)
