"""Ablation-CAM: pass by pass and in closed form, and where the reference library goes wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pytorch_grad_cam as library
import torch
from cam_reference import (
    library_maps,
    our_maps,
    pooled_linear,
    random_network,
    small_network,
    small_trace,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prunebench.cams import ablation_cam as ablation
from prunebench.cams.ablation_cam import ablation_cam
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracer import trace


@pytest.mark.slow
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=15)
def test_the_closed_form_equals_ablation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=generator)
    closed = small_trace(images, "2")
    assert closed.affine
    passes = replace(closed, affine=False)
    torch.testing.assert_close(ablation_cam(closed), ablation_cam(passes))


def test_the_closed_form_runs_the_network_no_more() -> None:
    def refuse(*_: Tensor) -> Tensor:
        raise AssertionError

    traced = small_trace(torch.randn(3, 3, 8, 8).double(), "2")
    ablation_cam(replace(traced, ablate=refuse, resume=refuse, predict=refuse))


def test_equals_ablation_written_out() -> None:
    images = torch.randn(2, 3, 8, 8).double()
    module = small_network()
    traced = small_trace(images, "0")
    assert not traced.affine
    expected = torch.zeros(2, 8, 8).double()
    for b in range(2):
        score = traced.logits[b, traced.classes[b]]
        for k in range(6):
            without = traced.activations[b : b + 1].clone()
            without[:, k] = 0
            with torch.no_grad():
                left = module[1:](without)[0, traced.classes[b]]
            expected[b] += (score - left) / (score.abs() + 1e-7) * traced.activations[b, k]
    torch.testing.assert_close(ablation_cam(traced), expected)


def test_in_many_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = small_trace(torch.randn(4, 3, 8, 8).double())
    traced.activations[:, 2] = 0  # read by the method alone: the network's own are kept apart
    traced = replace(traced, ablate=_recomputed(traced.activations))
    whole = ablation_cam(traced)
    batches: list[int] = []

    def counting(images: Tensor, channels: Tensor) -> Tensor:
        assert not (channels == 2).any()
        batches.append(len(images))
        return traced.ablate(images, channels)

    monkeypatch.setattr(ablation, "NUMBERS", {"cpu": 7 * (6 * 64 + 3 * 64)})
    torch.testing.assert_close(ablation_cam(replace(traced, ablate=counting)), whole)
    assert max(batches) == 7
    assert sum(batches) == int(traced.activations.flatten(2).any(2).sum())


def _recomputed(activations: Tensor):  # type: ignore[no-untyped-def]
    module = small_network()

    def ablate(images: Tensor, channels: Tensor) -> Tensor:
        changed = activations[images]
        changed[torch.arange(len(channels)), channels] = 0
        with torch.no_grad():
            logits: Tensor = module[1:](changed)
        return logits

    return ablate


@pytest.mark.slow
def test_keeps_its_sign_where_the_librarys_flips() -> None:
    module, layer = random_network("resnet18")
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        lowest, classes = module(images).min(1)
    assert (lowest < 0).all()
    traced = trace(module, layer, images, classes)
    ours = our_maps(traced, ablation_cam)
    theirs = library_maps(library.AblationCAM, module, layer, images, classes)
    assert np.abs(ours - theirs).max() > 0.5
    flipped = upsample(normalise(-ablation_cam(traced)), (32, 32)).numpy()
    np.testing.assert_allclose(flipped, theirs, atol=1e-4)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(2)])
def test_a_logit_of_zero_is_finite_where_the_librarys_is_not(pool: nn.Module) -> None:
    module = pooled_linear(torch.tensor([[1.0, -1.0], [0.0, 1.0]]), pool)
    image = torch.tensor([[[[1.0, 0.5], [0.0, 0.5]], [[0.5, 0.0], [1.0, 0.5]]]]).double()
    classes = torch.tensor([0])
    traced = trace(module, "0", image, classes)
    assert traced.scores.item() == 0
    ours = our_maps(traced, ablation_cam)
    expected = image[0, 0] - image[0, 1]
    np.testing.assert_allclose(ours[0], normalise(expected[None])[0], atol=1e-6)
    theirs = library_maps(library.AblationCAM, module, "0", image, classes)
    assert not np.isfinite(theirs).all()
