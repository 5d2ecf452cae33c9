"""Eigen-CAM and EigenGrad-CAM: the library's direction, and a sign that is not left to chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection
from torch import Tensor

from prunebench.cams.cam import Trace
from prunebench.cams.eigen_cam import eigen_cam, eigengrad_cam
from prunebench.cams.maps import normalise

Method = Callable[[Trace], Tensor]


def test_the_sign_is_known_where_channels_add_up_to_nothing() -> None:
    """As after a LayerNorm without scale and shift: rounding must not decide."""
    torch.manual_seed(0)
    activations = torch.randn(4, 8, 5, 5) * torch.rand(4, 1, 5, 5)
    activations -= activations.mean(1, keepdim=True)
    found = [
        eigen_cam(Trace(scaled, torch.zeros(4, 2), torch.zeros(4).long(), torch.zeros(4, 3, 5, 5)))
        for scaled in (activations, activations * (1 + 1e-7), activations.double())
    ]
    for other in found[1:]:
        torch.testing.assert_close(other.double(), found[0].double(), rtol=1e-3, atol=1e-4)
    energy = (activations**2).sum(1).flatten(1)
    towards = (found[0].flatten(1) * (energy - energy.mean(1, keepdim=True))).sum(1)
    assert (towards > 0).all()


def made(activations: Tensor, gradients: Tensor | None = None) -> Trace:
    logits = activations.new_zeros(len(activations), 2)
    classes = torch.zeros(len(activations), dtype=torch.int64)
    slopes = torch.ones_like(activations) if gradients is None else gradients
    return Trace(activations, logits, classes, logits, differentiate=lambda: slopes)


def drawn(seed: int, channels: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (3, channels, *size)
    activations = torch.randn(shape, dtype=torch.float64, generator=generator).relu()
    return activations, torch.randn(shape, dtype=torch.float64, generator=generator)


SHAPES = pytest.mark.parametrize(
    ("channels", "size"), [(20, (4, 3)), (5, (6, 7)), (12, (4, 3)), (1, (4, 4)), (3, (1, 1))]
)


@SHAPES
@pytest.mark.parametrize("method", [eigen_cam, eigengrad_cam])
def test_is_the_librarys_projection_up_to_its_sign(
    method: Method, channels: int, size: tuple[int, int]
) -> None:
    activations, gradients = drawn(7, channels, size)
    values = activations if method is eigen_cam else activations * gradients
    ours = method(made(activations, gradients)).numpy()
    theirs = get_2d_projection(values.numpy())
    for our, their in zip(ours, theirs, strict=True):
        off = min(np.abs(our - their).max(), np.abs(our + their).max())
        assert off < 1e-5


def test_the_librarys_sign_is_arbitrary() -> None:
    """Over random layers it follows the sum of the channels about as often as it opposes it."""
    along = []
    for seed in range(40):
        activations, _ = drawn(seed, 9, (4, 4))
        summed = activations.sum(1) - activations.sum(1).mean((1, 2), keepdim=True)
        theirs = torch.from_numpy(get_2d_projection(activations.numpy()))
        along += ((theirs * summed).sum((1, 2)) > 0).tolist()
        ours = eigen_cam(made(activations))
        assert ((ours * summed).sum((1, 2)) > 0).all()
    assert 0.1 < np.mean(along) < 0.9


@given(seed=st.integers(0, 10**6), channels=st.integers(1, 12))
@settings(deadline=None, max_examples=30)
def test_eigengrad_correlates_with_gradient_times_activation(seed: int, channels: int) -> None:
    activations, gradients = drawn(seed, channels, (3, 3))
    summed = (activations * gradients).sum(1)
    summed = summed - summed.mean((1, 2), keepdim=True)
    found = eigengrad_cam(made(activations, gradients))
    assert ((found * summed).sum((1, 2)) >= 0).all()
    # Without the sign: the longest projection there is.
    values = (activations * gradients).flatten(2)
    values = values - values.mean(2, keepdim=True)
    longest = torch.linalg.svdvals(values)[:, 0]
    torch.testing.assert_close(found.flatten(1).norm(dim=1), longest)


def test_one_pattern_in_all_channels_is_the_map() -> None:
    pattern = torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    strengths = torch.tensor([1.0, 2.0, 0.5])
    traced = made((strengths[:, None, None] * pattern)[None])
    expected = (pattern - 1) * strengths.norm()
    torch.testing.assert_close(eigen_cam(traced)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [3, 50])
def test_a_layer_that_is_the_same_everywhere_shows_nothing(
    dtype: torch.dtype, channels: int
) -> None:
    levels = torch.linspace(0.1, 100.3, channels, dtype=dtype)
    traced = made(levels[None, :, None, None].expand(1, channels, 5, 5))
    assert normalise(eigen_cam(traced)).max() < 1e-3


@pytest.mark.parametrize("size", [(2, 2), (5, 5)])
def test_an_image_that_is_not_finite_does_not_stop_the_others(size: tuple[int, int]) -> None:
    activations, _ = drawn(3, 6, size)
    expected = eigen_cam(made(activations))
    activations[1, 2, 0, 1] = float("nan")
    found = eigen_cam(made(activations))
    assert not normalise(found[1:2]).any()
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])
