"""Replacing pixels in the order of a map, and watching the network's confidence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunebench.metrics.confidence import confidence
from prunebench.networks.evaluation import predict

KERNEL = 11
SIGMA = 5.0


def rank_pixels(maps: Tensor) -> Tensor:
    """Return each pixel's rank in its map: 0 for the highest, equal ones row by row.

    Args:
        maps: N×H×W.

    Returns:
        Whole numbers below H·W, N×H×W.
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    ascending = torch.arange(order.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, ascending).view_as(maps)


def find_constant(maps: Tensor) -> Tensor:
    """Return which of the maps N×H×W are constant, so that they put no pixel before another."""
    return maps.amax((1, 2)) <= maps.amin((1, 2))


def area_under_curve(
    module: nn.Module, before: Tensor, after: Tensor, maps: Tensor, classes: Tensor, steps: int
) -> Tensor:
    """Return the area under the confidence while one image turns into another.

    The map's highest pixels turn first: Petsiuk et al. 2018 (RISE). The horizontal
    axis is the share of pixels replaced.

    Args:
        module: The network.
        before: The images to start from, b×channels×H×W.
        after: The images to end with, b×channels×H×W.
        maps: b×H×W.
        classes: The class whose probability is watched, b.
        steps: Parts, as equal as whole pixels allow, in which pixels are replaced.

    Returns:
        b values in [0, 1], by the trapezoid rule; NaN where a map is constant.
    """
    rank = rank_pixels(maps)[:, None]
    pixels = maps[0].numel()
    counts = [round(step * pixels / steps) for step in range(steps + 1)]
    curve = torch.stack(
        [
            confidence(predict(module, torch.where(rank < count, after, before)), classes)
            for count in counts
        ]
    )
    shares = torch.tensor(counts, device=curve.device).to(curve) / pixels
    return torch.trapezoid(curve, shares, dim=0).masked_fill(find_constant(maps), torch.nan)


def blur(images: Tensor) -> Tensor:
    """Blur by a Gaussian as in RISE: 11×11 pixels with σ = 5, the border reflected.

    Below 11 pixels the largest odd kernel that fits.

    Args:
        images: b×channels×H×W.
    """
    from torchvision.transforms.functional import gaussian_blur  # its import takes seconds

    side = min(images.shape[-2:])
    size = min(KERNEL, side - 1 + side % 2)
    blurred: Tensor = gaussian_blur(images, [size, size], [SIGMA, SIGMA])
    return blurred
