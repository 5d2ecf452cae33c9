"""Random flips and crops of training images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(inputs: Tensor, how: str, draw: torch.Generator) -> Tensor:
    """Flip inputs horizontally at random, and crop them at random after padding by an eighth.

    Args:
        inputs: B×C×H×W.
        how: ``none``, ``flip`` or ``crop-flip``.
        draw: Where random numbers come from, on the CPU.
    """
    if how == "none":
        return inputs
    count, _, height, width = inputs.shape
    flip = (torch.rand(count, generator=draw) < 0.5).to(inputs.device)
    inputs = torch.where(flip[:, None, None, None], inputs.flip(3), inputs)
    if how == "flip":
        return inputs
    pad = max(height // 8, 1)
    top = torch.randint(2 * pad + 1, (count, 1), generator=draw).to(inputs.device)
    left = torch.randint(2 * pad + 1, (count, 1), generator=draw).to(inputs.device)
    padded = F.pad(inputs, (pad, pad, pad, pad))
    rows = top + torch.arange(height, device=inputs.device)
    columns = left + torch.arange(width, device=inputs.device)
    images = torch.arange(count, device=inputs.device)[:, None, None]
    return padded[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
