"""HiResCAM: gradients times activations, position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def hires_cam(trace: Trace) -> Tensor:
    """Explain by HiResCAM (Draelos and Carin 2020).

    The map is Σ_k g_k A_k, without averaging the gradients over positions first. Where the logits
    are an affine function of the activations, it adds up to the logit less the bias.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    return (trace.gradients * trace.activations).sum(1)
