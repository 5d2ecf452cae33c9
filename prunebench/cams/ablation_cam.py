"""Ablation-CAM: channels weighted by what the class's score loses without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor

NUMBERS = {"cpu": 2**22, "cuda": 2**26}
"""How many numbers a batch of ablated activations and its images may hold together: little
enough for a processor's cache, much enough to fill a GPU, and a bound on the memory of both."""


def ablation_cam(trace: Trace) -> Tensor:
    """Explains by Ablation-CAM (Desai and Ramaswamy 2020).

    The weight of channel k is w_k = (y − y_k) / (|y| + 1e-7), with y the class's logit and y_k
    the logit once channel k is zero; the map is Σ_k w_k A_k. The magnitude in the denominator
    keeps a channel that supports the class positive where the logit is negative.

    Args:
        trace: Activations A of the target layer, B×C×h×w, the logits and how to resume.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    import torch

    activations = trace.activations
    weights = torch.zeros_like(activations[:, :, 0, 0])
    # A channel that is zero already changes nothing when it is ablated.
    image, channel = activations.flatten(2).any(2).nonzero(as_tuple=True)
    pair = activations.shape[1:].numel() + trace.images.shape[1:].numel()
    pairs = max(1, NUMBERS.get(activations.device.type, NUMBERS["cpu"]) // pair)
    for start in range(0, len(image), pairs):
        i, k = image[start : start + pairs], channel[start : start + pairs]
        ablated = activations[i]
        ablated[torch.arange(len(k), device=k.device), k] = 0
        remaining = trace.resume(ablated, i).gather(1, trace.classes[i, None])[:, 0]
        weights[i, k] = trace.scores[i] - remaining
    weights = weights / (trace.scores.abs() + 1e-7)[:, None]
    return (weights[:, :, None, None] * activations).sum(1)
