"""Random CAM: chance, but each image's own and the same again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from cam_reference import small_trace
from torch import Tensor

from prunebench.cams.cam import Trace
from prunebench.cams.random_cam import random_cam
from prunebench.plugins import choose


def weights(seed: int, channels: int = 4000) -> Tensor:
    """The weights behind a map: one place for each channel, active in it alone."""
    activations = torch.eye(channels, dtype=torch.float64).reshape(1, channels, channels, 1)
    logits = torch.zeros(1, 2)
    traced = Trace(activations, logits, torch.tensor([0]), logits, seeds=(seed,))
    return random_cam(traced).flatten()


def test_weights_are_uniform_between_minus_one_and_one() -> None:
    found = weights(5)
    assert found.min() > -1
    assert found.max() < 1
    shares = torch.histc(found, 8, -1, 1) / len(found)
    assert (shares - 1 / 8).abs().max() < 0.03


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert torch.equal(weights(5, 50), weights(5, 50))
    assert (weights(5, 50) - weights(6, 50)).abs().max() > 0.5
    state = torch.get_rng_state()
    weights(7, 50)
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_of_the_network_draws_another_map() -> None:
    images = torch.randn(2, 3, 8, 8).double()
    first, second = (random_cam(small_trace(images, seed=seed)) for seed in (0, 1))
    assert (first - second).abs().max() > 1e-3
    # Images of one batch do not share their weights.
    same = small_trace(images[:1].repeat(2, 1, 1, 1))
    drawn = random_cam(same)
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3


def test_precision_does_not_change_the_draw() -> None:
    traced = small_trace(torch.randn(2, 3, 8, 8).double())
    single = replace(traced, activations=traced.activations.float())
    torch.testing.assert_close(random_cam(single).double(), random_cam(traced), atol=1e-5, rtol=0)


def test_its_results_are_keyed_by_the_seed() -> None:
    assert choose("cams", "random-cam").plugin.random
    assert not choose("cams", "eigen-cam").plugin.random


def test_a_seed_is_needed_for_each_image() -> None:
    traced = small_trace(torch.randn(2, 3, 8, 8).double())
    with pytest.raises(ValueError, match="zip"):
        random_cam(replace(traced, seeds=traced.seeds[:1]))
