"""Grad-CAM, Grad-CAM++ and Ablation-CAM: oracles, the reference library, properties."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_grad_cam as library
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from prunebench.cams import ablation_cam as ablation
from prunebench.cams.ablation_cam import ablation_cam
from prunebench.cams.cam import Trace
from prunebench.cams.grad_cam import grad_cam
from prunebench.cams.grad_cam_plus_plus import grad_cam_plus_plus
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracing import trace
from prunebench.errors import RequestError
from prunebench.plugins import choose

METHODS = {
    "grad-cam": (grad_cam, library.GradCAM),
    "grad-cam++": (grad_cam_plus_plus, library.GradCAMPlusPlus),
    "ablation-cam": (ablation_cam, library.AblationCAM),
}


def library_maps(
    name: str, module: nn.Module, layer: str, images: Tensor, classes: Tensor
) -> np.ndarray:
    targets = [ClassifierOutputTarget(int(k)) for k in classes]
    with (
        contextlib.redirect_stderr(io.StringIO()),
        METHODS[name][1](module, [module.get_submodule(layer)]) as cam,
    ):
        return np.asarray(cam(images, targets))


def our_maps(traced: Trace, name: str) -> np.ndarray:
    height, width = traced.images.shape[2:]
    return upsample(normalise(METHODS[name][0](traced)), (height, width)).numpy()


def random_network(name: str) -> tuple[nn.Module, str]:
    torch.manual_seed(3)
    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=10).double().eval(), "layer2"
    module = torchvision.models.vgg11_bn(num_classes=10)
    # Its own classifier has a hundred million weights and nothing to add here.
    module.classifier = nn.Linear(512 * 7 * 7, 10)
    return module.double().eval(), "features.27"


SLOW = pytest.param("vgg11_bn", "ablation-cam", marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        *(("resnet18", name) for name in METHODS),
        *(("vgg11_bn", name) for name in ("grad-cam", "grad-cam++")),
        SLOW,
    ],
)
def test_agrees_with_the_library_on_random_networks(network: str, name: str) -> None:
    module, layer = random_network(network)
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        logits = module(images)
    classes = logits.argmax(1)
    assert (logits.amax(1) > 0).all()
    found = our_maps(trace(module, layer, images, classes), name)
    expected = library_maps(name, module, layer, images, classes)
    assert expected.max() > 0.99
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_agrees_with_the_library_on_real_images(
    name: str, shared_data: Callable[[str], Path], shared_weights: Callable[[str], Path]
) -> None:
    weights = shared_weights("resnet20-12fca82f.th")
    images = cifar_images(shared_data("cifar10-jpeg"), 8).double()
    module = resnet20(weights).double()
    with torch.no_grad():
        logits = module(images)
    assert (logits.amax(1) > 0).all()
    classes = logits.argmax(1)
    found = our_maps(trace(module, "layer3", images, classes), name)
    expected = library_maps(name, module, "layer3", images, classes)
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


def test_ablation_keeps_its_sign_where_the_librarys_flips() -> None:
    module, layer = random_network("resnet18")
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        lowest, classes = module(images).min(1)
    assert (lowest < 0).all()
    traced = trace(module, layer, images, classes)
    ours, theirs = (
        our_maps(traced, "ablation-cam"),
        library_maps("ablation-cam", module, layer, images, classes),
    )
    assert np.abs(ours - theirs).max() > 0.5
    flipped = upsample(normalise(-ablation_cam(traced)), (64, 64)).numpy()
    np.testing.assert_allclose(flipped, theirs, atol=1e-4)


class Features(nn.Module):
    """Hands its input on: activations chosen by the test."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 1


def pooled_linear(weight: Tensor) -> nn.Module:
    """2×2 max-pool and one linear layer after the target layer, for 2×2 maps."""
    classes, channels = weight.shape
    linear = nn.Linear(channels, classes, bias=False, dtype=torch.float64)
    linear.weight.data.copy_(weight)
    return nn.Sequential(Features(), nn.MaxPool2d(2), nn.Flatten(), linear).eval()


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
    traced = Trace(activations, gradients, logits, torch.tensor([0]), logits, lambda a, i: logits)

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


@pytest.mark.parametrize("name", METHODS)
def test_network_that_sees_nothing_gives_zeros(name: str) -> None:
    traced = trace(
        pooled_linear(torch.ones(2, 3, dtype=torch.float64)),
        "0",
        torch.zeros(2, 3, 2, 2, dtype=torch.float64),
        torch.tensor([0, 1]),
    )
    assert not normalise(METHODS[name][0](traced)).any()


def test_ablation_in_many_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = small_trace(torch.randn(4, 3, 8, 8).double())
    whole = ablation_cam(traced)
    batches: list[int] = []

    def counting(activations: Tensor, indices: Tensor) -> Tensor:
        batches.append(len(activations))
        return traced.resume(activations, indices)

    monkeypatch.setattr(ablation, "NUMBERS", {"cpu": 7 * (6 * 64 + 3 * 64)})
    counted = Trace(
        traced.activations,
        traced.gradients,
        traced.logits,
        traced.classes,
        traced.images,
        counting,
    )
    torch.testing.assert_close(ablation_cam(counted), whole)
    assert max(batches) == 7
    alive = int(traced.activations.flatten(2).any(2).sum())
    assert sum(batches) == alive


def small_trace(images: Tensor) -> Trace:
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)),
        nn.Conv2d(6, 6, 3),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
    )
    classes = (images[:, 0, 0, 0].abs() * 100).long() % 5
    return trace(module.double(), "0", images, classes)


@pytest.mark.parametrize("name", METHODS)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 5))
@settings(deadline=None, max_examples=15)
def test_a_map_depends_on_its_own_image_alone(name: str, seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 8, 8, dtype=torch.float64, generator=generator)
    order = torch.randperm(count, generator=generator)
    method = METHODS[name][0]
    together = normalise(method(small_trace(images)))
    assert together.min() >= 0
    assert together.max() <= 1
    shuffled = normalise(method(small_trace(images[order])))
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=1e-9)
    alone = torch.cat([normalise(method(small_trace(image[None]))) for image in images])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_found_by_name_and_without_parameters(name: str) -> None:
    traced = small_trace(torch.randn(2, 3, 8, 8).double())
    assert torch.equal(choose("cams", name).plugin(traced), METHODS[name][0](traced))
    with pytest.raises(RequestError, match="unknown parameter 'power'"):
        choose("cams", name, {"power": 2})
