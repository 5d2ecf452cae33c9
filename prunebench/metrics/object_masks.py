"""How much of a heatmap lies on the object, where the data set says what the object is.

Every function takes N×H×W maps and masks in [0, 1] and returns N float64 values in [0, 1], 1 being
the best. A zero map finds nothing: 0. An image without an object is undefined: NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prunebench.metrics.maps import compare, soft_iou

INSIDE = 0.5


def mask_iou(maps: Tensor, masks: Tensor) -> Tensor:
    """Compute soft intersection over union of map and mask, Σ min / Σ max.

    Args:
        maps: Maps in [0, 1], N×H×W.
        masks: How far each pixel belongs to the object, in [0, 1], N×H×W.

    Raises:
        RequestError: They differ in shape, are not N×H×W, or leave [0, 1].
    """
    return _without_object(soft_iou(maps, masks), masks > 0)


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """Return 1 where the highest pixel of the map, the first of equal ones, is on the object.

    A pixel is on the object where the mask reaches 0.5.

    Args:
        maps: Maps in [0, 1], N×H×W.
        masks: How far each pixel belongs to the object, in [0, 1], N×H×W.

    Raises:
        RequestError: They differ in shape, are not N×H×W, or leave [0, 1].
    """
    return _without_object(compare(maps, masks, _hit), masks >= INSIDE)


def relevance_mass(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the share of the map's mass that is on the object, Σ(map · mask) / Σ map.

    Args:
        maps: Maps in [0, 1], N×H×W.
        masks: How far each pixel belongs to the object, in [0, 1], N×H×W.

    Raises:
        RequestError: They differ in shape, are not N×H×W, or leave [0, 1].
    """
    return _without_object(compare(maps, masks, _mass), masks > 0)


def _without_object(values: Tensor, on_object: Tensor) -> Tensor:
    """Return the values, undefined where the mask of an image is empty."""
    return values.masked_fill(~on_object.flatten(1).any(1).to(values.device), torch.nan)


def _hit(maps: Tensor, masks: Tensor) -> Tensor:
    highest = maps.flatten(1).argmax(1, keepdim=True)
    return (masks.flatten(1).gather(1, highest).squeeze(1) >= INSIDE).to(maps)


def _mass(maps: Tensor, masks: Tensor) -> Tensor:
    return ((maps * masks).sum((1, 2)) / maps.sum((1, 2))).clamp(0, 1)
