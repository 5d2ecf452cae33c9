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
    """Explain by Ablation-CAM (Desai and Ramaswamy 2020).

    The weight of channel k is w_k = (y − y_k) / (|y| + 1e-7), with y the class's logit and y_k
    the logit once channel k is zero; the map is Σ_k w_k A_k. The magnitude in the denominator
    keeps a channel that supports the class positive where the logit is negative.

    Args:
        trace: Activations A of the target layer, B×C×h×w, the logits and how to ablate.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    lost = _differentiate_loss(trace) if trace.affine else _ablate_channels(trace)
    weights = lost / (trace.scores.abs() + 1e-7)[:, None]
    return (weights[:, :, None, None] * trace.activations).sum(1)


def _differentiate_loss(trace: Trace) -> Tensor:
    """Compute y − y_k, B×C, of logits affine in the activations: Σ_ij g_kij A_kij, exactly."""
    return (trace.gradients * trace.activations).sum((2, 3))


def _ablate_channels(trace: Trace) -> Tensor:
    """Compute y − y_k, B×C, by running what follows the layer without each channel in turn."""
    activations = trace.activations
    lost = activations.new_zeros(activations.shape[:2])
    # A channel that is zero already is left out: it weighs on nothing.
    image, channel = activations.flatten(2).any(2).nonzero(as_tuple=True)
    pair = activations.shape[1:].numel() + trace.images.shape[1:].numel()
    pairs = max(1, NUMBERS.get(activations.device.type, NUMBERS["cpu"]) // pair)
    for start in range(0, len(image), pairs):
        i, k = image[start : start + pairs], channel[start : start + pairs]
        remaining = trace.ablate(i, k).gather(1, trace.classes[i, None])[:, 0]
        lost[i, k] = trace.scores[i] - remaining
    return lost
