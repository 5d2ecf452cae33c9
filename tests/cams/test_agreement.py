"""Our maps are those of pytorch-grad-cam, on whole and pruned networks of many kinds.

Where they are not, a test here shows who is right.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
import pytorch_grad_cam as library
import torch
from networks import LARGE, PRUNINGS, SMALL, Kind
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracer import trace
from prunebench.networks.layout import Layout, find_channel_axis, to_maps
from prunebench.plugins import choose


class ZeroAblation(AblationLayerVit):  # type: ignore[misc]
    """Sets channels to zero, whatever the sign of the others."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

    def __call__(self, x: Tensor) -> Tensor:
        output: Tensor = self.activations
        maps = output.movedim(find_channel_axis(self.layout, output), 1)
        maps[torch.arange(len(maps)), torch.from_numpy(self.indices[: len(maps)]).long()] = 0
        return output


class OurSign:
    """Turns the library's projection, whose sign is arbitrary, to correlate with Σ_k of values."""

    def get_cam_image(self, *arguments: Any) -> Any:
        found: Any = super().get_cam_image(*arguments)  # type: ignore[misc]
        activations, gradients = arguments[3:5]
        total = self.values(activations, gradients).sum(1)
        total = total - total.mean((1, 2), keepdims=True)
        return found * np.sign((found * total).sum((1, 2), keepdims=True))

    def values(self, activations: np.ndarray, gradients: Any) -> np.ndarray:
        return activations


class EigenCam(OurSign, library.EigenCAM):  # type: ignore[misc]
    pass


class EigenGradCam(OurSign, library.EigenGradCAM):  # type: ignore[misc]
    def values(self, activations: np.ndarray, gradients: Any) -> np.ndarray:
        return np.asarray(gradients * activations)


METHODS: dict[str, Any] = {
    "grad-cam": library.GradCAM,
    "grad-cam++": library.GradCAMPlusPlus,
    "xgrad-cam": library.XGradCAM,
    "hires-cam": library.HiResCAM,
    "elementwise-cam": library.GradCAMElementWise,
    "layer-cam": library.LayerCAM,
    "eigen-cam": EigenCam,
    "eigengrad-cam": EigenGradCam,
    "full-grad": library.FullGrad,
    "ablation-cam": library.AblationCAM,
    "score-cam": library.ScoreCAM,
}
MANY_PASSES = ("ablation-cam", "score-cam")


def theirs(
    method: Any, module: nn.Module, layer: str, traced: Trace, layout: Layout, **options: Any
) -> np.ndarray:
    size = (traced.images.shape[2], traced.images.shape[3])

    def reshape(output: Tensor) -> Tensor:
        # Cloned: the library keeps a view, which a following in-place ReLU would change.
        return to_maps(output, layout, size).clone()

    targets = [ClassifierOutputTarget(int(k)) for k in traced.classes]
    where: tuple[Any, ...] = ([module.get_submodule(layer)], reshape)
    if method is library.FullGrad:  # looks for its layers itself
        where = ([],)
    quiet = io.StringIO()
    with (
        contextlib.redirect_stderr(quiet),
        contextlib.redirect_stdout(quiet),
        method(module, *where, **options) as cam,
    ):
        return np.asarray(cam(traced.images.clone(), targets))


def ours(name: str, traced: Trace) -> np.ndarray:
    size = (traced.images.shape[2], traced.images.shape[3])
    return upsample(normalise(choose("cams", name).plugin(traced)), size).numpy()


def agree(name: str, module: nn.Module, layer: str, traced: Trace, layout: Layout) -> None:
    options = {}
    if name == "ablation-cam":
        assert (traced.scores > 0).all(), "the library's sign flips at negative logits"
        options["ablation_layer"] = ZeroAblation(layout)
    expected = theirs(METHODS[name], module, layer, traced, layout, **options)
    assert expected.max() > 0.99
    np.testing.assert_allclose(ours(name, traced), expected, rtol=0, atol=1e-4)


@lru_cache(maxsize=1)
def large(network: str, pruning: str) -> nn.Module:
    return networks.made(LARGE[network], pruning)


@lru_cache(maxsize=1)
def small(network: str, pruning: str) -> nn.Module:
    return networks.made(SMALL[network], pruning)


@lru_cache(maxsize=2)
def traced_at(module: nn.Module, layer: str, size: int, count: int, layout: Layout) -> Trace:
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(count, 3, size, size, dtype=torch.float64, generator=generator)
    return trace(module, layer, images, layout=layout)


@lru_cache(maxsize=1)
def one_traced_at(module: nn.Module, layer: str, size: int, layout: Layout) -> Trace:
    """Of the first image whose map by Ablation-CAM is not negative everywhere and so all zero."""
    several = traced_at(module, layer, size, 4, layout)
    for image in several.images.split(1):
        found = trace(module, layer, image, layout=layout)
        if choose("cams", "ablation-cam").plugin(found).max() > 0:
            return found
    raise AssertionError("every map is all zero")


def check(kind: Kind, module: nn.Module, method: str, images: int) -> None:
    if method in MANY_PASSES and kind.cheap:
        layer, traced = kind.cheap[0], one_traced_at(module, *kind.cheap, kind.layout)
    else:
        layer = kind.layer
        traced = traced_at(module, layer, kind.size, images, kind.layout)
    agree(method, module, layer, traced, kind.layout)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pruning", PRUNINGS)
@pytest.mark.parametrize("network", SMALL)
def test_small_networks(network: str, pruning: str, method: str) -> None:
    check(SMALL[network], small(network, pruning), method, images=3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pruning", PRUNINGS)
@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=[] if n == "MobileNetV2" else pytest.mark.sweep) for n in LARGE],
)
@pytest.mark.slow
def test_large_networks(network: str, pruning: str, method: str) -> None:
    """Last stage and two images; Ablation-CAM and Score-CAM, for which the library passes through
    the network once a channel, at an earlier layer with one small image."""
    check(LARGE[network], large(network, pruning), method, images=2)


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


@pytest.fixture(scope="module")
def real(
    shared_data: Callable[[str], Path], shared_weights: Callable[[str], Path]
) -> Callable[[str], tuple[nn.Module, Trace]]:
    """ResNet-20 with published weights, in single precision, and the trace of real images."""
    state = torch.load(
        shared_weights("resnet20-12fca82f.th"), map_location="cpu", weights_only=True
    )
    images = cifar_images(shared_data("cifar10-jpeg"), 64)

    @lru_cache
    def find(pruning: str) -> tuple[nn.Module, Trace]:
        module = networks.resnet20(state["state_dict"])
        fixed = frozenset(choose("models", "resnet20").plugin.fixed_channels())
        module = networks.prune(module, pruning, images, fixed=fixed)
        return module, trace(module, "layer3", images[:4])

    return find


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pruning", PRUNINGS)
def test_trained_network_and_real_images(
    real: Callable[[str], tuple[nn.Module, Trace]], pruning: str, method: str
) -> None:
    module, traced = real(pruning)
    agree(method, module, "layer3", traced, "maps")


@pytest.mark.parametrize("pruning", PRUNINGS)
def test_ablation_where_activations_are_not_negative(
    real: Callable[[str], tuple[nn.Module, Trace]], pruning: str
) -> None:
    module, traced = real(pruning)
    unmodified = theirs(
        library.AblationCAM, module, "layer3", traced, "maps", ablation_layer=AblationLayer()
    )
    np.testing.assert_allclose(ours("ablation-cam", traced), unmodified, rtol=0, atol=1e-4)


def test_ablation_by_the_library_is_no_ablation_where_activations_are_negative() -> None:
    """It then sets channels to -10⁷, which no network has ever seen, and not to zero."""
    kind, module = SMALL["a residual network"], small("a residual network", "whole")
    traced = traced_at(module, "5", kind.size, 3, "maps")
    assert (traced.activations < 0).any()
    unmodified, zeroed = (
        theirs(library.AblationCAM, module, "5", traced, "maps", ablation_layer=layer)
        for layer in (AblationLayer(), ZeroAblation("maps"))
    )
    found = ours("ablation-cam", traced)
    np.testing.assert_allclose(found, zeroed, rtol=0, atol=1e-4)
    assert np.abs(found - unmodified).max() > 0.1


def test_ablation_by_the_library_changes_its_sign_with_the_logits() -> None:
    """A channel that speaks for the class then counts against it."""
    kind, module = SMALL["a plain network"], small("a plain network", "whole")
    images = traced_at(module, kind.layer, kind.size, 3, "maps").images
    lowest = trace(module, kind.layer, images).logits.argmin(1)
    traced = trace(module, kind.layer, images, lowest)
    assert (traced.scores < 0).all()
    wrong = theirs(
        library.AblationCAM,
        module,
        kind.layer,
        traced,
        "maps",
        ablation_layer=ZeroAblation("maps"),
    )
    assert np.abs(ours("ablation-cam", traced) - wrong).max() > 0.5
    negative = -choose("cams", "ablation-cam").plugin(traced)
    size = (kind.size, kind.size)
    flipped = upsample(normalise(negative), size).numpy()
    np.testing.assert_allclose(flipped, wrong, rtol=0, atol=1e-4)


def test_full_grad_by_the_library_forgets_normalisations_without_affine_part() -> None:
    """Their bias is -μ/σ, whether or not it is written with a scale of 1 and a shift of 0."""

    def network(affine: bool) -> nn.Module:
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8, affine=affine),
            nn.ReLU(),
            *networks.head(8),
        )
        networks.settle(module, 1 + torch.randn(8, 3, 12, 12))
        return module.double()

    images = 1 + torch.randn(3, 3, 12, 12, dtype=torch.float64)
    found = {}
    for affine in (True, False):
        traced = trace(network(affine), "2", images, torch.tensor([0, 1, 2]))
        found[affine] = (
            ours("full-grad", traced),
            theirs(library.FullGrad, network(affine), "2", traced, "maps"),
        )
    np.testing.assert_allclose(found[False][0], found[True][0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found[True][0], found[True][1], rtol=0, atol=1e-4)
    assert np.abs(found[False][0] - found[False][1]).max() > 0.1
