"""LayerCAM: activations weighted, position by position, by their positive gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def layer_cam(trace: Trace) -> Tensor:
    """Explain by LayerCAM (Jiang et al. 2021).

    The map is Σ_k max(g_k, 0) A_k.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    return (trace.gradients.relu() * trace.activations).sum(1)
