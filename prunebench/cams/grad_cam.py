"""Grad-CAM: channels weighted by their mean gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace
from prunebench.plugins.base import plugin

if TYPE_CHECKING:
    from torch import Tensor


@plugin(version=2)  # early maps of some networks were off, under the key of version 1
def grad_cam(trace: Trace) -> Tensor:
    """Explain by Grad-CAM (Selvaraju et al. 2017, equations 1 and 2).

    The weight of channel k is w_k = mean_ij g_kij; the map is Σ_k w_k A_k.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    weights = trace.gradients.mean((2, 3), keepdim=True)
    return (weights * trace.activations).sum(1)
