"""Noise that belongs to an image: drawn once, by the image's index in its source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from prunebench.data import Split
from prunebench.seeding import derive

STEP = 1000
"""Images whose noise is drawn at a time, so that it need not be held as float64 for all."""


def add_noise_to_black(split: Split, bound: float, *purpose: str) -> Split:
    """Put uniform noise on the pixels that are exactly 0 and leave all others as they are.

    An image's noise depends on the arguments and on its index alone: the same in every epoch, for
    every network and experiment seed, and however many images follow it.

    Args:
        split: uint8 images in memory, N×C×H×W. Its masks stay those of the clean images.
        bound: Upper bound of the noise, in [0, 1], 1 being the brightest pixel. Noise is rounded
            to whole 1/255, as pixels are.
        purpose: What the images are, such as ``"mnist", "test"``.

    Returns:
        The noisy split; the very same one for a bound of 0.
    """
    if not isinstance(split.pixels, torch.Tensor):
        raise TypeError("only images in memory can be given noise")
    if bound == 0:
        return split
    # RandomState, because NumPy froze its stream for good (see splits.py).
    draw = np.random.RandomState(derive(0, "noise on black", *purpose) % 2**32)
    noisy = split.pixels.clone()
    for first in range(0, len(noisy), STEP):
        images = noisy[first : first + STEP]  # a view: what is written here is in all of them
        noise = torch.from_numpy(draw.random_sample(tuple(images.shape)) * bound * 255)
        black = images == 0
        images[black] = noise.round().to(torch.uint8)[black]
    return replace(split, pixels=noisy)
