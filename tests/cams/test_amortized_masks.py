"""Masks of the amortized explainers, and what they cost, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from prunebench.cams.amortized.divergence import mask_images, measure_divergence
from prunebench.cams.amortized.masks import (
    compute_rbf,
    draw_rbf,
    draw_relaxed,
    measure_roughness,
    measure_size,
)


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_an_rbf_is_what_its_formula_says() -> None:
    found = compute_rbf(double([[1, 2, 2], [0.5, 0, 0.5]]), (3, 4))
    assert found.shape == (2, 3, 4)
    assert found[0, 1, 2] == 1  # row 1, column 2: pixels lie at whole numbers
    assert found[0, 0, 0] == pytest.approx(math.exp(-(1 + 4) / 8))
    assert found[0, 2, 3] == pytest.approx(math.exp(-(1 + 1) / 8))
    assert found[1, 0, 0] == found[1, 1, 0] == pytest.approx(math.exp(-0.25 / 0.5))
    assert found[1, 2, 3] == pytest.approx(math.exp(-(2.25 + 9) / 0.5))


@pytest.mark.parametrize("width", [0.0, 1e-30, 1e-6])
def test_a_width_of_almost_nothing_leaves_one_pixel_and_finite_gradients(width: float) -> None:
    parameters = torch.tensor([[2.0, 3.0, width]], requires_grad=True)
    found = compute_rbf(parameters, (5, 6))
    assert found[0, 2, 3] == 1
    assert found.sum() == 1
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert parameters.grad is not None
    assert parameters.grad.isfinite().all()


def test_random_rbfs_fill_their_ranges() -> None:
    torch.manual_seed(0)
    row, column, width = draw_rbf(4000, (10, 30), double([0])).unbind(1)
    for drawn, end in ((row, 10), (column, 30), (width, 60)):
        assert drawn.dtype == torch.float64
        assert drawn.min() >= 0
        assert drawn.max() <= end
        shares = torch.histc(drawn, 4, 0, end) / len(drawn)
        assert (shares - 0.25).abs().max() < 0.03
    assert width.min() > 0


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.9])
def test_relaxed_masks_are_almost_binary_and_right_on_average(probability: float) -> None:
    torch.manual_seed(0)
    probabilities = torch.full((200, 10, 10), probability, requires_grad=True)
    masks = draw_relaxed(probabilities, 0.1)
    assert masks.shape == probabilities.shape
    assert ((masks >= 0) & (masks <= 1)).all()
    # P(m > ½) is exactly p at every temperature.
    assert float((masks > 0.5).float().mean()) == pytest.approx(probability, abs=0.01)
    assert ((masks < 0.1) | (masks > 0.9)).float().mean() > 0.8
    (gradient,) = torch.autograd.grad(masks.sum(), probabilities)
    assert (gradient >= 0).all()
    # Of the mean, whose limit is p itself.
    assert float(gradient.mean()) == pytest.approx(1, abs=0.15)


def test_relaxed_masks_bear_certainty() -> None:
    probabilities = torch.tensor([0.0, 1e-30, 1.0], requires_grad=True)
    masks = draw_relaxed(probabilities.expand(1000, 3), 0.1)
    assert masks[:, :2].max() < 1e-3
    assert masks[:, 2].min() > 1 - 1e-3
    (gradient,) = torch.autograd.grad(masks.sum(), probabilities)
    assert gradient.isfinite().all()


def test_the_size_is_nearly_the_share_of_pixels_kept() -> None:
    masks = torch.zeros(2, 4, 5, dtype=torch.float64)
    masks[0, :2] = 1
    expected = (10 * 1.0005**0.3 + 30 * 0.0005**0.3) / 40
    assert float(measure_size(masks)) == pytest.approx(expected)
    assert measure_size(torch.full((1, 8, 8), 0.25)) > measure_size((torch.arange(64) < 16).float())


def test_roughness_counts_neighbours_that_differ_and_the_border() -> None:
    def of(values: list[list[float]]) -> float:
        pixels = double([values])
        return float(measure_roughness(pixels)) * pixels.numel() / 1024  # not scaled

    assert of([[0, 0, 0], [0, 1, 0], [0, 0, 0]]) == pytest.approx(4 / 2)
    assert of([[1, 1, 1], [1, 1, 1], [1, 1, 1]]) == pytest.approx(0.3 * 12 / 2)
    assert of([[1, 0], [0, 0.5]]) == pytest.approx((1 + 1 + 0.25 + 0.25 + 0.3 * (2 + 0.5)) / 2)


def test_roughness_of_noise_does_not_depend_on_the_size_or_the_number_of_images() -> None:
    torch.manual_seed(0)
    small, large = (
        measure_roughness((torch.rand(n, s, s) < 0.5).float()) for n, s in ((64, 32), (4, 128))
    )
    assert float(large / small) == pytest.approx(1, abs=0.05)


def test_the_divergence_is_that_of_kullback_and_leibler() -> None:
    torch.manual_seed(0)
    wanted, predicted = torch.randn(2, 6, 4, dtype=torch.float64) * 3
    expected = kl_divergence(Categorical(logits=wanted), Categorical(logits=predicted)).mean()
    torch.testing.assert_close(measure_divergence(wanted, predicted), expected)
    assert float(measure_divergence(wanted, wanted + 5)) == pytest.approx(0, abs=1e-12)
    assert measure_divergence(wanted, predicted) != measure_divergence(predicted, wanted)


def test_masked_pixels_are_the_mean_colour() -> None:
    images = torch.randn(2, 3, 4, 4)
    masks = (torch.arange(32).view(2, 4, 4) % 3 > 0).float()
    found = mask_images(images, masks)
    assert torch.equal(found[:, 1][masks == 1], images[:, 1][masks == 1])
    assert (found[:, 2][masks == 0] == 0).all()


@pytest.mark.slow
def test_gradients_of_masks_and_costs() -> None:
    torch.manual_seed(0)
    parameters = double([[1.3, 2.2, 1.1], [4.4, 0.3, 2.7]]).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: compute_rbf(p, (5, 6)), parameters)
    masks = (torch.rand(2, 5, 6, dtype=torch.float64) * 0.9 + 0.05).requires_grad_()
    for cost in (measure_size, measure_roughness):
        assert torch.autograd.gradcheck(cost, masks)

    def drawn(probabilities: Tensor) -> Tensor:
        torch.manual_seed(1)  # the same noise each time
        return draw_relaxed(probabilities, 0.7)

    assert torch.autograd.gradcheck(drawn, masks)
    wanted, predicted = torch.randn(2, 6, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(measure_divergence, (wanted, predicted))
