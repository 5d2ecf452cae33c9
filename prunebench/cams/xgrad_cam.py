"""XGrad-CAM: channels weighted by their gradients where they are active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def xgrad_cam(trace: Trace) -> Tensor:
    """Explain by XGrad-CAM (Fu et al. 2020).

    With S_k = Σ_ij A_kij, the weight of channel k is w_k = Σ_ij g_kij A_kij / (S_k + 1e-7); the
    map is Σ_k w_k A_k.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    activations = trace.activations
    total = activations.sum((2, 3), keepdim=True)
    weights = (trace.gradients * activations).sum((2, 3), keepdim=True) / (total + 1e-7)
    return (weights * activations).sum(1)
