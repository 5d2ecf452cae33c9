"""Element-wise Grad-CAM: gradients times activations where they speak for the class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def elementwise_cam(trace: Trace) -> Tensor:
    """Explain by element-wise Grad-CAM, as pytorch-grad-cam defines it.

    The map is Σ_k max(g_k A_k, 0): HiResCAM with the ReLU in each channel.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, nowhere negative.
    """
    return (trace.gradients * trace.activations).relu().sum(1)
