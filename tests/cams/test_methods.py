"""Every explanation method: the reference library, oracles, properties they all share."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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

from prunebench.cams.ablation_cam import ablation_cam
from prunebench.cams.cam import Cam, Trace
from prunebench.cams.grad_cam import grad_cam
from prunebench.cams.grad_cam_plus_plus import grad_cam_plus_plus
from prunebench.cams.maps import normalise
from prunebench.cams.tracer import trace
from prunebench.errors import RequestError
from prunebench.plugins import choose

REFERENCE = {
    "grad-cam": library.GradCAM,
    "grad-cam++": library.GradCAMPlusPlus,
    "xgrad-cam": library.XGradCAM,
    "hires-cam": library.HiResCAM,
    "elementwise-cam": library.GradCAMElementWise,
    "layer-cam": library.LayerCAM,
    "ablation-cam": library.AblationCAM,
    "score-cam": library.ScoreCAM,
    "full-grad": library.FullGrad,
}
"""What the library computes as we do. Its Eigen-CAM has a sign of chance, its Random-CAM
no seed."""

EXPENSIVE = ("ablation-cam", "score-cam")

METHODS = ("cam", *REFERENCE, "eigen-cam", "eigengrad-cam", "random-cam")


def method(name: str) -> Cam:
    chosen = choose("cams", name).plugin
    assert isinstance(chosen, Cam)
    return chosen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "name"),
    [
        *(("resnet18", name) for name in REFERENCE),
        *(("vgg11_bn", name) for name in REFERENCE if name not in EXPENSIVE),
    ],
)
def test_agrees_with_the_library_on_random_networks(network: str, name: str) -> None:
    module, layer = random_network(network)
    size = 64
    if name in EXPENSIVE and network == "resnet18":
        # A pass for every channel is dear in double precision: fewer channels, smaller images.
        layer, size = "layer1", 32
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(2, 3, size, size, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        logits = module(images)
    classes = logits.argmax(1)
    assert (logits.amax(1) > 0).all()
    found = our_maps(trace(module, layer, images, classes), method(name))
    expected = library_maps(REFERENCE[name], module, layer, images, classes)
    assert expected.max() > 0.99
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCE)
def test_agrees_with_the_library_on_real_images(
    name: str, shared_data: Callable[[str], Path], shared_weights: Callable[[str], Path]
) -> None:
    weights = shared_weights("resnet20-12fca82f.th")
    images = cifar_images(shared_data("cifar10-jpeg"), 2 if name in EXPENSIVE else 8).double()
    module = resnet20(weights).double()
    with torch.no_grad():
        logits = module(images)
    assert (logits.amax(1) > 0).all()
    classes = logits.argmax(1)
    found = our_maps(trace(module, "layer3", images, classes), method(name))
    expected = library_maps(REFERENCE[name], module, "layer3", images, classes)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def resnet20(weights: Path) -> nn.Module:
    try:
        plugin = choose("models", "resnet20").plugin
    except RequestError as error:
        pytest.skip(str(error))
    module: nn.Module = plugin.build(10, 3, (32, 32))
    state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    return module.eval()


def cifar_images(folder: Path, count: int) -> Tensor:
    import pyarrow.parquet as parquet
    from PIL import Image

    rows = next(parquet.ParquetFile(folder / "test.parquet").iter_batches(count, columns=["image"]))
    pixels = [
        np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
        for row in rows.to_pylist()
    ]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean[:, None, None]) / std[:, None, None]


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), channels=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_pooled_linear_oracle(seed: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, channels, dtype=torch.float64, generator=generator)
    activations = torch.rand(4, channels, 2, 2, dtype=torch.float64, generator=generator)
    classes = torch.tensor([0, 1, 2, 0])
    traced = trace(pooled_linear(weight), "0", activations, classes)
    chosen = weight[classes]
    expected = (chosen / 4)[:, :, None, None] * activations
    torch.testing.assert_close(grad_cam(traced), expected.sum(1))
    lost = chosen * activations.amax((2, 3)) / (traced.scores.abs() + 1e-7)[:, None]
    expected = lost[:, :, None, None] * activations
    torch.testing.assert_close(ablation_cam(traced), expected.sum(1))


def test_grad_cam_plus_plus_by_hand() -> None:
    activations = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 1.0]]]]).double()
    gradients = torch.tensor([[[[0.5, 0.0], [-1.0, 2.0]], [[-1.0, -2.0], [0.0, -0.5]]]]).double()
    logits = torch.zeros(1, 2)
    traced = Trace(activations, logits, torch.tensor([0]), logits, differentiate=lambda: gradients)

    def share(g: float, total: float) -> float:
        return g**2 / (2 * g**2 + total * g**3 + 1e-6)

    weight = 0.5 * share(0.5, 10) + 2 * share(2, 10)
    torch.testing.assert_close(grad_cam_plus_plus(traced), weight * activations[:, 0])


def test_grad_cam_equals_cam_before_global_average_pooling() -> None:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU())
    linear = nn.Linear(7, 4)
    module = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).double()
    images, classes = torch.randn(5, 3, 10, 10).double(), torch.tensor([3, 1, 0, 2, 2])
    traced = trace(module, "0", images, classes)
    weights = linear.weight.detach()[classes] / 64
    expected = torch.einsum("bk,bkij->bij", weights, traced.activations)
    torch.testing.assert_close(grad_cam(traced), expected)


def layer_of(name: str) -> str:
    """CAM is defined before the global average pooling alone."""
    return "2" if name == "cam" else "0"


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 5))
@settings(deadline=None, max_examples=10)
def test_a_map_depends_on_its_own_image_alone(name: str, seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 8, 8, dtype=torch.float64, generator=generator)
    order = torch.randperm(count, generator=generator).tolist()
    whole = small_trace(images, layer_of(name))

    def maps(chosen: list[int]) -> Tensor:
        # An image keeps its own seed wherever it stands.
        seeds = tuple(whole.seeds[index] for index in chosen)
        traced = replace(small_trace(images[chosen], layer_of(name)), seeds=seeds)
        return normalise(method(name)(traced))

    together = maps(list(range(count)))
    assert together.min() >= 0
    assert together.max() <= 1
    assert together.any()
    torch.testing.assert_close(maps(order), together[order], rtol=0, atol=1e-9)
    alone = torch.cat([maps([index]) for index in range(count)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", METHODS)
def test_keeps_the_precision_of_the_network(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=generator)
    classes = torch.tensor([0, 3, 1])
    expected = normalise(method(name)(trace(small_network(), layer_of(name), images, classes)))
    module = small_network().to(dtype)
    raw = method(name)(trace(module, layer_of(name), images.to(dtype), classes))
    assert raw.dtype == dtype
    assert not raw.requires_grad
    torch.testing.assert_close(normalise(raw).double(), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", METHODS)
def test_network_that_sees_nothing_gives_zeros(name: str, dtype: torch.dtype) -> None:
    traced = trace(
        pooled_linear(torch.ones(2, 3), nn.AvgPool2d(2)).to(dtype),
        "0",
        torch.zeros(2, 3, 2, 2, dtype=dtype),
        torch.tensor([0, 1]),
    )
    raw = method(name)(traced)
    assert raw.isfinite().all()
    assert not normalise(raw).any()


@pytest.mark.parametrize("name", METHODS)
def test_leaves_the_trace_and_the_network_alone(name: str) -> None:
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    module = small_network().train()
    module[1].weight.requires_grad_(False)
    module[5].weight.grad = torch.ones(5, 6, dtype=torch.float64)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    traced = trace(module, layer_of(name), images)
    before = [traced.activations.clone(), traced.gradients.clone(), images.clone()]
    method(name)(traced)
    for found, kept in zip([traced.activations, traced.gradients, images], before, strict=True):
        assert torch.equal(found, kept)
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert all(layer.training for layer in module.modules())
    assert [p.requires_grad for p in (module[1].weight, module[5].weight)] == [False, True]
    assert torch.equal(module[5].weight.grad, torch.ones(5, 6, dtype=torch.float64))
    assert module[1].weight.grad is None
    assert not any(layer._forward_hooks or layer._backward_hooks for layer in module.modules())


@pytest.mark.parametrize("name", METHODS)
def test_has_no_parameters(name: str) -> None:
    with pytest.raises(RequestError, match="unknown parameter 'power'"):
        choose("cams", name, {"power": 2})
