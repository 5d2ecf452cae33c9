"""Explaining any network by any number of methods at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from prunebench.cams.cam import Cam, Trace
from prunebench.cams.explained_batches import explain_batches, split_batches
from prunebench.cams.explaining import choose_cams, explain
from prunebench.cams.maps import upsample
from prunebench.errors import RequestError

METHODS = ("grad-cam", "grad-cam++", "ablation-cam")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


@pytest.fixture
def images() -> Tensor:
    return torch.randn(7, 3, 12, 16, generator=torch.Generator().manual_seed(1))


def test_maps_lie_at_input_size_in_zero_to_one(images: Tensor) -> None:
    maps = explain(network(), images, METHODS)
    assert list(maps) == list(METHODS)
    for found in maps.values():
        assert found.shape == (7, 12, 16)
        assert found.min() >= 0
        assert found.max() <= 1
        assert (found.amax((1, 2)) > 0.99).any()


def test_defaults_are_the_last_stage_and_the_models_own_prediction(images: Tensor) -> None:
    module = network().eval()
    with torch.no_grad():
        predicted = module(images).argmax(1)
    found = explain(module, images)["grad-cam"]
    assert torch.equal(found, explain(module, images, "grad-cam", "1", predicted)["grad-cam"])
    others = explain(module, images, "grad-cam", "1", (predicted + 1) % 5)["grad-cam"]
    assert not torch.allclose(found, others)
    first = explain(module, images, "grad-cam", "0.1", predicted)["grad-cam"]
    assert not torch.allclose(found, first)


def test_batch_size_changes_nothing(images: Tensor) -> None:
    module = network().double()
    whole = explain(module, images, METHODS)
    parts = explain(module, images, METHODS, batch_size=3)
    for name in METHODS:
        torch.testing.assert_close(parts[name], whole[name])


def test_model_is_left_as_it_was_found(images: Tensor) -> None:
    module = network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    explain(module, images, METHODS)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_layer_maps_are_what_is_upsampled(images: Tensor) -> None:
    module, done = network(), []
    classes = torch.zeros(7, dtype=torch.int64)
    found = explain_batches(
        module, "1", split_batches(images, classes, 3), choose_cams(METHODS), progress=done.append
    )
    maps = found.maps
    assert maps["grad-cam"].shape == (7, 6, 8)
    assert done == [3, 6, 7]
    assert torch.equal(found.classes, classes)
    assert found.uncut == ""
    whole = explain(module, images, METHODS, "1", classes)
    for name in METHODS:
        torch.testing.assert_close(upsample(maps[name], (12, 16)), whole[name])


def test_each_image_has_a_seed_of_its_own_whatever_its_batch(images: Tensor) -> None:
    class Random(Cam):
        def __call__(self, trace: Trace) -> Tensor:
            drawn = [torch.Generator().manual_seed(seed) for seed in trace.seeds]
            return torch.stack([torch.rand(6, 8, generator=generator) for generator in drawn])

    def maps(seed: int, batch_size: int = 4, first: int = 0) -> Tensor:
        batches = split_batches(images[first:], None, batch_size)
        found = explain_batches(network(), "1", batches, {"": Random()}, seed=seed, first=first)
        return found.maps[""]

    assert torch.equal(maps(1), maps(1, batch_size=3))
    assert torch.equal(maps(1)[2:], maps(1, first=2))
    assert not torch.equal(maps(1), maps(2))
    assert len({float(one.sum()) for one in maps(1)}) == 7


def test_a_network_that_cannot_be_cut_is_explained_with_a_warning(images: Tensor) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) if x.sum() < 1e9 else self.inner(-x)

    torch.manual_seed(0)
    module = Branching()
    with pytest.warns(UserWarning, match="could not be cut at 'inner.1'.*torch.fx"):
        found = explain(module, images, METHODS, "inner.1")
    expected = explain(module.inner, images, METHODS, "1")
    for name in METHODS:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-5)


def test_cams_are_named_with_their_parameters() -> None:
    assert list(choose_cams("grad-cam")) == ["grad-cam"]
    assert list(choose_cams([{"grad-cam": {}}, "ablation-cam"])) == ["grad-cam", "ablation-cam"]
    with pytest.raises(RequestError, match="did you mean 'grad-cam'"):
        choose_cams(["gradcam"])
    with pytest.raises(RequestError, match="unknown parameter 'power'"):
        choose_cams([{"grad-cam": {"power": 2}}])
    with pytest.raises(RequestError, match="no explanation method"):
        choose_cams([])


def test_method_that_returns_no_maps_is_named(images: Tensor) -> None:
    class Wrong(Cam):
        def __call__(self, trace: Trace) -> Tensor:
            return trace.activations

    with pytest.raises(RequestError, match=r"cam 'wrong' returned \(7, 8, 6, 8\)"):
        explain_batches(network(), "1", [(images, None)], {"wrong": Wrong()})


def test_requests_that_make_no_sense_are_refused(images: Tensor) -> None:
    module = network()
    with pytest.raises(RequestError, match="expected N×C×H×W"):
        explain(module, images[0])
    with pytest.raises(RequestError, match="expected N×C×H×W"):
        explain(module, images[:0])
    with pytest.raises(RequestError, match="floating-point"):
        explain(module, images.to(torch.uint8))
    with pytest.raises(RequestError, match=r"classes are \(3,\); expected one for each"):
        explain(module, images, targets=torch.zeros(3).long())
    with pytest.raises(RequestError, match="class 9 does not exist"):
        explain(module, images, targets=torch.full((7,), 9))
    with pytest.raises(
        RequestError, match=r"1×1 for images of 12×16.*these layers qualify: 1 \(6×8\)"
    ):
        explain(module, images, target_layer="2")
    with pytest.raises(RequestError, match="no layer '7'"):
        explain(module, images, target_layer="7")
