"""Grad-CAM++: positive gradients, weighted within each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def grad_cam_plus_plus(trace: Trace) -> Tensor:
    """Explain by Grad-CAM++ (Chattopadhay et al. 2018, equations 7 and 19).

    With S_k = Σ_ij A_kij and a = g² / (2g² + S_k g³ + 1e-6), the weight of channel k is
    w_k = Σ_ij max(g_kij, 0) a_kij; the map is Σ_k w_k A_k.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    activations, gradients = trace.activations, trace.gradients
    squared = gradients**2
    total = activations.sum((2, 3), keepdim=True)
    share = squared / (2 * squared + total * squared * gradients + 1e-6)
    # Masked rather than multiplied by zero: a share without positive gradient may be infinite.
    weights = (gradients * share).where(gradients > 0, gradients.new_zeros(())).sum((2, 3))
    return (weights[:, :, None, None] * activations).sum(1)
