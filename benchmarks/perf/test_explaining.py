"""All explanations of a batch share one pass forward, and one backward to the target layer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from functools import partial
from timeit import timeit
from typing import Any

import pytest
import pytorch_grad_cam as library
import torch
import torchvision
from torch import Tensor, nn

from prunebench.cams.explained_batches import explain_batches, split_batches
from prunebench.cams.explaining import choose_cams
from prunebench.comparison.compare import compare
from prunebench.plugins import choose

IMAGES, BATCH = 256, 64
LAYER = "layer3"
CLASSES = 10
SEVEN = {
    "grad-cam": library.GradCAM,
    "grad-cam++": library.GradCAMPlusPlus,
    "xgrad-cam": library.XGradCAM,
    "hires-cam": library.HiResCAM,
    "layer-cam": library.LayerCAM,
    "elementwise-cam": library.GradCAMElementWise,
    "ablation-cam": library.AblationCAM,
}
# The library's AblationCAM and ScoreCAM pass through the network once a channel and image.
FEW = 4


def resnet56(device: torch.device, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    built: nn.Module = choose("models", "resnet56").plugin.build(CLASSES, 3, (32, 32))
    return built.eval().to(device)


def resnet18(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    built: nn.Module = torchvision.models.resnet18(num_classes=CLASSES)
    return built.eval().to(device)


def random_images(count: int, size: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, size, size, generator=generator).to(device)


def ours(cams: Iterable[str], module: nn.Module, layer: str, images: Tensor) -> None:
    explain_batches(module, layer, split_batches(images, None, BATCH), choose_cams(cams))


@torch.inference_mode()
def forward(module: nn.Module, images: Tensor) -> None:
    for batch in images.split(BATCH):
        module(batch)


def theirs(method: Any, module: nn.Module, layer: str, images: Tensor) -> None:
    with (
        contextlib.redirect_stderr(io.StringIO()),
        method(module, [module.get_submodule(layer)]) as cam,
    ):
        for batch in images.split(BATCH):
            cam(batch, targets=None)


def test_seven_methods_beside_a_forward_pass(
    in_turns: Callable[..., float], note: Callable[..., None], device: torch.device
) -> None:
    module, images = resnet56(device), random_images(IMAGES, 32, device)
    ratio = in_turns(lambda: ours(SEVEN, module, LAYER, images), lambda: forward(module, images))
    note(f"seven CAMs / plain forward pass (ResNet-56, {IMAGES} images)", ratio, "×", "≤ 1.3 ×")


def test_seven_methods_beside_the_library(
    benchmark: Any, note: Callable[..., None], device: torch.device
) -> None:
    module, images = resnet56(device), random_images(IMAGES, 32, device)
    batch, few = images[:BATCH], images[:FEW]
    gradients = sum(
        timeit(partial(theirs, method, module, LAYER, batch), number=1)
        for method in SEVEN.values()
        if method is not library.AblationCAM
    )
    ablation = timeit(partial(theirs, library.AblationCAM, module, LAYER, few), number=1)
    benchmark.pedantic(ours, args=(SEVEN, module, LAYER, images), rounds=5, warmup_rounds=1)
    own = benchmark.stats.stats.median
    note(
        f"pytorch-grad-cam's six gradient CAMs (once, extrapolated from {BATCH} images) / our "
        f"seven CAMs (ResNet-56, {IMAGES} images)",
        gradients * IMAGES / BATCH / own,
        "×",
    )
    note(
        f"its seven CAMs (AblationCAM extrapolated from {FEW} images) / our seven CAMs",
        (gradients / BATCH + ablation / FEW) * IMAGES / own,
        "×",
    )


@pytest.mark.parametrize(
    ("name", "layer", "goal"),
    [
        ("ablation-cam", "layer3", "≥ 50 ×"),
        ("ablation-cam", "layer4", "≥ 50 ×"),
        ("score-cam", "layer3", "≥ 2 ×"),
    ],
)
def test_one_method_beside_the_library(
    in_turns: Callable[..., float],
    note: Callable[..., None],
    device: torch.device,
    name: str,
    layer: str,
    goal: str,
) -> None:
    module, images = resnet18(device), random_images(FEW, 64, device)
    method = library.ScoreCAM if name == "score-cam" else library.AblationCAM
    ratio = in_turns(
        lambda: ours([name], module, layer, images), lambda: theirs(method, module, layer, images)
    )
    affine = ", whose logits are affine in the layer" if layer == "layer4" else ""
    what = f"{method.__name__} / our {name} (ResNet-18, {layer}{affine}, {FEW} images of 64×64)"
    note(f"pytorch-grad-cam's {what}", 1 / ratio, "×", goal)


def test_comparing_beside_forward_passes(
    in_turns: Callable[..., float], note: Callable[..., None], device: torch.device
) -> None:
    before, after = resnet56(device, seed=0), resnet56(device, seed=1)
    images = random_images(1000, 32, device)
    ratio = in_turns(
        lambda: compare(before, after, images, batch_size=BATCH, quiet=True),
        lambda: (forward(before, images), forward(after, images)),
    )
    note("comparing two ResNet-56 on 1,000 images / their forward passes", ratio, "×", "≤ 1.5 ×")
