"""As many calibration images of each class."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from prunebench.plugins.context import Context


def draw_balanced(context: Context, images: int) -> tuple[Tensor, Tensor]:
    """Draw training images until there are enough of each class.

    Args:
        context: Its batches are read in their order, no further than needed.
        images: How many of each class; all of a class that has fewer.

    Returns:
        Normalised inputs and their labels, ordered by class.
    """
    found: list[list[Tensor]] = [[] for _ in range(context.classes)]
    for inputs, labels in context.batches(sys.maxsize, 256):
        for image, label in zip(inputs, labels.tolist(), strict=True):
            if len(found[label]) < images:
                found[label].append(image)
        if all(len(each) == images for each in found):
            break
    inputs = torch.stack([image for each in found for image in each])
    counts = torch.tensor([len(each) for each in found])
    return inputs, torch.arange(len(found)).repeat_interleave(counts).to(inputs.device)
