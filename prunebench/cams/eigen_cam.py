"""Eigen-CAM and EigenGrad-CAM: the main direction in which the positions of a layer differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor


def eigen_cam(trace: Trace) -> Tensor:
    """Explain by Eigen-CAM (Muhammad and Yeasin 2020), which knows no class.

    The activations as a matrix of hw positions and C channels, columns centred, are projected on
    their first right singular vector. The sign, which a decomposition leaves open, is the one of
    the correlation with Σ_k A_k; where that is constant, as after a layer normalisation, with
    Σ_k A_k².

    Args:
        trace: Activations A of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    return _project(trace.activations)


def eigengrad_cam(trace: Trace) -> Tensor:
    """Explain by EigenGrad-CAM: Eigen-CAM of gradients times activations.

    Defined by pytorch-grad-cam; the sign is the one of the correlation with Σ_k g_k A_k.

    Args:
        trace: Activations A and gradients g of the target layer, B×C×h×w.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    return _project(trace.gradients * trace.activations)


ROUNDING = 1e-5
"""Correlations below this say nothing: normalised channels add up to rounding alone."""


def _project(values: Tensor) -> Tensor:
    """Project the positions of B×C×h×w on their first principal direction, B×h×w."""
    import torch

    # In double precision: the channels' means are taken off exactly enough for a layer that is
    # the same everywhere to give zeros, not the noise that rounding leaves.
    positions = values.flatten(2).transpose(1, 2).double()
    # One image that is not finite must not stop the others.
    finite = positions.isfinite().flatten(1).all(1)
    positions = torch.where(finite[:, None, None], positions, 0)
    energy = (positions**2).sum(2)
    positions = positions - positions.mean(1, keepdim=True)
    # The smaller of the two Gram matrices has the singular vector as its last eigenvector.
    if positions.shape[1] < positions.shape[2]:
        squares, vectors = torch.linalg.eigh(positions @ positions.mT)
        projected = vectors[:, :, -1] * squares[:, -1:].clamp(min=0).sqrt()
    else:
        vectors = torch.linalg.eigh(positions.mT @ positions).eigenvectors
        projected = (positions @ vectors[:, :, -1:])[:, :, 0]
    sign = (projected * positions.sum(2)).sum(1)
    rounding = projected.norm(dim=1) * positions.abs().sum(2).norm(dim=1) * ROUNDING
    by_energy = (projected * (energy - energy.mean(1, keepdim=True))).sum(1)
    sign = torch.where(sign.abs() > rounding, sign, by_energy)
    projected = torch.where(sign[:, None] < 0, -projected, projected)
    return projected.reshape(values[:, 0].shape).to(values.dtype)
