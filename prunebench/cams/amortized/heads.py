"""The last layers of the decoder: from maps of features to probabilities of pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.cams.amortized.masks import SIDE, compute_rbf

REACH = 14 / SIDE
"""How far from the middle a centre can be, over the side."""
FIRST_WIDTH = 8.0
"""Width before any training, in pixels of a 32×32 image."""


class RbfHead(nn.Module):
    """Centre and width of one RBF an image.

    As published, c = middle + r·tanh(u / r) and σ = softplus(v), which on 32×32 pixels is
    16 + 14·tanh(u / 14); other sizes scale both. u is where a map points: the mean position under
    the softmax of its values. So it is found rather than computed, which a small network learns
    sooner. v is a linear function of what is seen there.

    Args:
        width: Channels of the maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = nn.Conv2d(width, 1, 1)
        self.spread = nn.Linear(width, 1)
        with torch.no_grad():
            self.spread.bias.fill_(FIRST_WIDTH)

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Return row, column and width in pixels, B×3, for maps B×width×h×w and images of H×W."""
        batch, _, height, width = maps.shape
        weights = self.place(maps).flatten(1).softmax(1).view(batch, height, width)
        row = _find_centre(weights.sum(2), size[0])
        column = _find_centre(weights.sum(1), size[1])
        seen = torch.einsum("bhw,bchw->bc", weights, maps)
        spread = F.softplus(self.spread(seen)[:, 0]) * (max(size) / SIDE)
        return torch.stack([row, column, spread], 1)

    @staticmethod
    def to_probabilities(found: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the RBFs themselves, B×H×W."""
        return compute_rbf(found, size)

    @staticmethod
    def describe(found: Tensor) -> Mapping[str, Tensor]:
        """Return what describes each map, in pixels."""
        return dict(zip(("centre_row", "centre_column", "width"), found.unbind(1), strict=True))

    @staticmethod
    def to_comparable(found: Tensor, size: tuple[int, int]) -> Tensor:
        """Return what two explanations differ in: row, column and width on a 32×32 image, B×3."""
        return found * (SIDE / max(size))


class PixelHead(nn.Module):
    """A logit of its own for each pixel.

    Args:
        width: Channels of the maps.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(width, 1, 1)

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Return logits B×H×W for maps B×width×h×w, interpolated where these are smaller."""
        logits: Tensor = self.logits(maps)
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)[:, 0]

    @staticmethod
    def to_probabilities(found: Tensor, size: tuple[int, int]) -> Tensor:
        """Return probabilities in [0, 1], B×H×W."""
        return found.sigmoid()

    @staticmethod
    def describe(found: Tensor) -> Mapping[str, Tensor]:
        """Return no numbers: the map itself is all there is."""
        return {}

    @staticmethod
    def to_comparable(found: Tensor, size: tuple[int, int]) -> Tensor:
        """Return what two explanations differ in: the probabilities, B×H×W.

        Scaled so that a sum of squares is what it would be on as many pixels as 32×32.
        """
        return found.sigmoid() * (SIDE / math.sqrt(size[0] * size[1]))


def _find_centre(weights: Tensor, side: int) -> Tensor:
    """Return the mean position in pixels, B, of weights B×cells of sum 1, kept near the middle."""
    cells = weights.shape[1]
    positions = (
        (torch.arange(cells, device=weights.device, dtype=weights.dtype) + 0.5) * side / cells
    )
    middle, reach = side / 2, REACH * side
    offset = (weights * (positions - 0.5)).sum(1) - middle
    return middle + reach * torch.tanh(offset / reach)
