"""FullGrad: the input's and every bias's part in the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def full_grad(trace: Trace) -> Tensor:
    """Explain by FullGrad (Srinivas and Fleuret 2019).

    The map is Σ_channels ψ(|x · ∂y/∂x|) + Σ_layers Σ_k ψ(|b_k · ∂y/∂b_k|), with ∂y/∂b_k the
    gradient at each position where the bias is added and ψ min-max of each channel's map at its own
    resolution, then a bilinear resize. The target layer plays no part.

    Args:
        trace: The images, B×C×H×W, the classes and the network.

    Returns:
        Raw maps at the images' size, B×H×W, nowhere negative.

    Raises:
        ValueError: The trace was made by hand, without a network.
    """
    from prunebench.cams.full_gradients import compute_full_gradients, sum_parts

    if trace.module is None:
        raise ValueError("FullGrad needs the network; this trace was made by hand, without one")
    return sum_parts(compute_full_gradients(trace.module, trace.images, trace.classes))
