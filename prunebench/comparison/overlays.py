"""Images and maps as data URIs, for pages that need no other file."""

from __future__ import annotations

import base64
from io import BytesIO

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prunebench.comparison.figure import COLOURS, normalise_pixels

LONGEST_SIDE = 256
"""Pixels of the longer side of a picture; larger ones are made smaller."""
SMALL = 64
"""Pixels up to which a picture is stored without loss."""
FAINT, STRONG = 0.2, 0.75
"""Weight of the map's colour where the map is 0, and where it is 1."""


def encode_image(pixels: NDArray[np.float32]) -> str:
    """Return a normalised image, C×H×W, as a data URI."""
    return _encode(_make_colours(pixels))


def encode_overlay(pixels: NDArray[np.float32], heatmap: NDArray[np.float32]) -> str:
    """Return a map, H×W in [0, 1], laid over its image in grey, as a data URI."""
    grey = _make_colours(pixels).mean(2, keepdims=True)
    weight = (FAINT + (STRONG - FAINT) * heatmap)[..., None]
    colours = matplotlib.colormaps[COLOURS](heatmap)[..., :3]
    return _encode((1 - weight) * grey + weight * colours)


def _make_colours(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    shown = normalise_pixels(pixels)
    return np.repeat(shown[..., None], 3, 2) if shown.ndim == 2 else shown


def _encode(colours: NDArray[np.float32]) -> str:
    picture = Image.fromarray((255 * colours.clip(0, 1)).round().astype(np.uint8))
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    lossless = max(picture.size) <= SMALL
    content = BytesIO()
    if lossless:
        picture.save(content, "PNG", optimize=True)
    else:
        picture.save(content, "JPEG", quality=85)
    text = base64.b64encode(content.getvalue()).decode("ascii")
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{text}"
