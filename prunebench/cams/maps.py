"""From raw maps to maps in [0, 1]: scaling, resizing, and a code for keeping them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

CODES = 2**16 - 1
EPSILON = 1e-7
"""As in pytorch-grad-cam, so that maps can be compared with its maps."""
FAINT = 1e-9
"""A map whose values all lie below would be lost beside EPSILON, and in 16 bits."""


def normalise(raw: Tensor) -> Tensor:
    """Keep what speaks for the class and scale each map to [0, 1].

    ReLU, then (x − min) / (1e-7 + max of the shifted map). A constant map becomes all zeros, and
    so does a map that is not finite.

    Args:
        raw: What an explanation method returned, B×h×w.

    Returns:
        Maps in [0, 1], B×h×w.
    """
    finite = raw.isfinite().flatten(1).all(1)
    return _stretch(torch.where(finite[:, None, None], raw, 0).relu())


def magnify(raw: Tensor) -> Tensor:
    """Scale raw maps, B×h×w, whose values are all tiny to a largest value of 1; leave others."""
    largest = raw.abs().amax((1, 2), keepdim=True)
    return torch.where((largest > 0) & (largest < FAINT), raw / largest, raw)


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize maps bilinearly to the images' size and scale each to [0, 1] again.

    Args:
        maps: Normalised maps at the layer's resolution, B×h×w.
        size: Height and width of the images.

    Returns:
        Maps in [0, 1], B×H×W. All-zero maps stay all zero.
    """
    if len(maps) == 0:
        return maps.new_zeros(0, *size)
    return _stretch(interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0])


def _stretch(maps: Tensor) -> Tensor:
    if maps.numel() == 0:
        return maps
    shifted = maps - maps.amin((1, 2), keepdim=True)
    return shifted / (EPSILON + shifted.amax((1, 2), keepdim=True))


def encode(maps: Tensor) -> Tensor:
    """Code maps in [0, 1] as 16-bit integers, off by at most half of 1/65535; zero stays zero."""
    return (maps * CODES).round().to(torch.uint16)


def decode(codes: Tensor) -> Tensor:
    """Turn 16-bit codes back into float32 maps in [0, 1]."""
    return codes.to(torch.float32) / CODES
