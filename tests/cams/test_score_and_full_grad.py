"""Score-CAM and FullGrad: written out, completeness, and where the reference library goes wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pytorch_grad_cam as library
import torch
from cam_reference import library_maps, our_maps, small_network, small_trace
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from prunebench.cams import score_cam as score
from prunebench.cams.cam import Trace
from prunebench.cams.full_grad import full_grad
from prunebench.cams.full_gradients import compute_full_gradients
from prunebench.cams.score_cam import score_cam
from prunebench.cams.tracer import trace

IMAGES = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
CLASSES = torch.tensor([0, 3, 1])


def test_score_cam_written_out() -> None:
    module = small_network()
    traced = small_trace(IMAGES, "2")
    expected = torch.zeros(3, 6, 6).double()
    for b in range(3):
        scores = []
        for channel in traced.activations[b]:
            mask = functional.interpolate(
                channel[None, None], (8, 8), mode="bilinear", align_corners=True
            )
            mask = (mask - mask.min()) / (mask.max() - mask.min() + 1e-8)
            with torch.no_grad():
                scores.append(module(mask * IMAGES[b])[0, traced.classes[b]])
        weights = torch.stack(scores).softmax(0)
        expected[b] = (weights[:, None, None] * traced.activations[b]).sum(0)
    torch.testing.assert_close(score_cam(traced), expected)


def test_score_cam_shares_one_pass_among_constant_channels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced = small_trace(IMAGES)
    traced.activations[:, 1] = 0
    traced.activations[0, 4] = 0.7
    whole = score_cam(traced)
    batches: list[int] = []

    def counting(images: Tensor) -> Tensor:
        batches.append(len(images))
        return traced.predict(images)

    monkeypatch.setattr(score, "NUMBERS", {"cpu": 4 * 3 * 64})
    found = score_cam(replace(traced, predict=counting))
    torch.testing.assert_close(found, whole)
    varied = int((traced.activations.amax((2, 3)) > traced.activations.amin((2, 3))).sum())
    assert batches[0] == 1
    assert sum(batches) == 1 + varied
    assert max(batches) == 4


def test_score_cam_takes_a_constant_channel_for_an_empty_mask() -> None:
    traced = small_trace(IMAGES)
    traced.activations[:, 1] = 0.7
    zeroed = replace(traced, activations=traced.activations.clone())
    zeroed.activations[:, 1] = 0
    # The same weights: only the constant itself is added.
    added = score_cam(traced) - score_cam(zeroed)
    torch.testing.assert_close(added, added[:, :1, :1].expand_as(added))
    assert (added > 0).all()


class Plain(nn.Module):
    """Convolutions and normalisations of every kind, one of them run twice, all ReLUs in place."""

    def __init__(self, *, affine: bool = False, repeats: int = 2, linear_bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, affine=affine)
        self.repeated = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 5, 3, stride=2, bias=False)
        self.last_norm = nn.BatchNorm2d(5)
        self.relu = nn.ReLU(inplace=True)
        self.linear = nn.Linear(5, 6, bias=linear_bias)
        self.repeats = repeats

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        for _ in range(self.repeats):
            x = self.relu(self.repeated(x)) + x
        x = functional.max_pool2d(self.relu(self.last_norm(self.second(x))), 2)
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def with_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            if layer.affine:
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.3)
            if layer.bias is not None:
                nn.init.normal_(layer.bias)
    return module.double().eval()


@given(seed=st.integers(0, 10**6), affine=st.booleans(), repeats=st.integers(0, 3))
@settings(deadline=None, max_examples=25)
def test_full_gradients_add_up_to_the_score(seed: int, affine: bool, repeats: int) -> None:
    """The theorem behind FullGrad: the input's part and the biases' make up the whole score."""
    module = with_statistics(Plain(affine=affine, repeats=repeats), seed)
    parts = list(compute_full_gradients(module, IMAGES, CLASSES))
    assert len(parts) == 1 + 3 + repeats
    with torch.no_grad():
        score = module(IMAGES).gather(1, CLASSES[:, None])[:, 0] - module.linear.bias[CLASSES]
    added = torch.stack([part.sum((1, 2, 3)) for part in parts]).sum(0)
    torch.testing.assert_close(added, score)


def test_full_gradients_see_a_normalisation_with_its_activation_in_one() -> None:
    class NormAct(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu_()

    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), NormAct(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)
    )
    with_statistics(module)
    parts = list(compute_full_gradients(module, IMAGES, CLASSES))
    with torch.no_grad():
        score = module(IMAGES).gather(1, CLASSES[:, None])[:, 0] - module[4].bias[CLASSES]
    torch.testing.assert_close(torch.stack([p.sum((1, 2, 3)) for p in parts]).sum(0), score)


def written_out(module: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    total = torch.zeros(len(images), *images.shape[2:], dtype=images.dtype)
    for part in compute_full_gradients(module, images, classes):
        for b in range(len(images)):
            for channel in part[b].abs():
                low, high = channel.min(), channel.max()
                scaled = (channel - low) / (1e-7 + high - low)
                total[b] += functional.interpolate(
                    scaled[None, None], images.shape[2:], mode="bilinear", align_corners=False
                )[0, 0]
    return total


def test_full_grad_is_the_sum_over_channels_each_scaled() -> None:
    module = with_statistics(Plain())
    found = full_grad(trace(module, "first", IMAGES, CLASSES))
    assert found.shape == (3, 8, 8)
    torch.testing.assert_close(found, written_out(module, IMAGES, CLASSES))


def test_full_grad_does_not_depend_on_the_target_layer() -> None:
    module = with_statistics(Plain())
    maps = [full_grad(trace(module, layer, IMAGES, CLASSES)) for layer in ("first", "last_norm")]
    assert torch.equal(*maps)


def test_full_grad_agrees_with_the_library_where_that_is_right() -> None:
    module = with_statistics(Plain(affine=True, repeats=1))
    ours = our_maps(trace(module, "first", IMAGES, CLASSES), full_grad)
    theirs = library_maps(library.FullGrad, module, "first", IMAGES, CLASSES)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_librarys_full_grad_leaves_out_normalisations_without_parameters() -> None:
    module = with_statistics(Plain(affine=False, repeats=1))
    ours = our_maps(trace(module, "first", IMAGES, CLASSES), full_grad)
    theirs = library_maps(library.FullGrad, module, "first", IMAGES, CLASSES)
    assert np.abs(ours - theirs).max() > 0.02
    # The same network with the parameters written out: 1 and 0.
    spelt = with_statistics(Plain(affine=True, repeats=1))
    spelt.load_state_dict(module.state_dict(), strict=False)
    nn.init.ones_(spelt.norm.weight)
    nn.init.zeros_(spelt.norm.bias)
    with torch.no_grad():
        torch.testing.assert_close(spelt(IMAGES), module(IMAGES))
    right = library_maps(library.FullGrad, spelt, "first", IMAGES, CLASSES)
    np.testing.assert_allclose(ours, right, atol=1e-4)


def test_the_librarys_full_grad_fails_where_a_layer_runs_twice() -> None:
    module = with_statistics(Plain(affine=True, repeats=2))
    with pytest.raises(AssertionError):
        library_maps(library.FullGrad, module, "first", IMAGES, CLASSES)
    assert full_grad(trace(module, "first", IMAGES, CLASSES)).isfinite().all()


def test_full_grad_under_inference_mode() -> None:
    module = with_statistics(Plain())
    traced = trace(module, "first", IMAGES, CLASSES)
    with torch.inference_mode():
        inside = full_grad(replace(traced, images=IMAGES.clone()))
    torch.testing.assert_close(inside.clone(), full_grad(traced))


def test_full_grad_of_a_trace_without_a_network() -> None:
    traced = Trace(IMAGES, IMAGES[:, 0, 0], CLASSES, IMAGES)
    with pytest.raises(ValueError, match="needs the network"):
        full_grad(traced)
