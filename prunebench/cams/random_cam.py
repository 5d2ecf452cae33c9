"""Random CAM: channels weighted by chance, which every method must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace
from prunebench.plugins.base import plugin

if TYPE_CHECKING:
    from torch import Tensor


@plugin(random=True)
def random_cam(trace: Trace) -> Tensor:
    """Explain by weights drawn uniformly from (−1, 1), afresh for each image and network.

    The map is Σ_k w_k A_k. An image's weights come from its own seed, wherever it stands in a
    batch.

    Args:
        trace: Activations A of the target layer, B×C×h×w, and a seed for each image.

    Returns:
        Raw maps, B×h×w, before the ReLU.

    Raises:
        ValueError: The trace has not one seed for each image.
    """
    import torch

    activations = trace.activations
    # Drawn on the processor, in double precision: the same on every device and in every precision.
    drawn = torch.empty(activations.shape[:2], dtype=torch.float64, device="cpu")
    for weights, seed in zip(drawn, trace.seeds, strict=True):
        weights.uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))
    return torch.einsum("bk,bkij->bij", drawn.to(activations), activations)
