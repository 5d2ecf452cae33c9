"""Activations weighted by the gradients that speak for the class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.plugin import plugin

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.cams.cam import Trace


@plugin(version=2)
def older_cam(trace: Trace, *, power: float = 1.0) -> Tensor:
    """Weights each channel by its mean positive gradient."""
    weights = (trace.gradients.clamp(min=0) ** power).mean((2, 3), keepdim=True)
    return (weights * trace.activations).sum(1)
