"""All explanations of a batch share one pass forward, and one backward to the target layer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from timeit import timeit
from typing import Any

import pytest
import pytorch_grad_cam as library
import torch
from torch import Tensor, nn

from prunebench.explaining import choose_cams, explain_layer
from prunebench.plugins import choose

IMAGES, BATCH = 256, 64
ABLATED = 8  # images for the library's AblationCAM, which passes forward once a channel and image
LAYER = "layer3"


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(0)
    built: nn.Module = choose("models", "resnet56").plugin.build(10, 3, (32, 32))
    return built.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(IMAGES, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def ours(module: nn.Module, images: Tensor) -> None:
    classes = torch.arange(len(images)) % 10
    cams = choose_cams(("grad-cam", "grad-cam++", "ablation-cam"))
    explain_layer(module, LAYER, images, classes, cams, batch_size=BATCH)


@torch.no_grad()
def forward(module: nn.Module, images: Tensor) -> None:
    for batch in images.split(BATCH):
        module(batch)


def theirs(method: Any, module: nn.Module, images: Tensor) -> None:
    with (
        contextlib.redirect_stderr(io.StringIO()),
        method(module, [module.get_submodule(LAYER)]) as cam,
    ):
        for batch in images.split(BATCH):
            cam(batch, targets=None)


def test_explaining_beside_a_forward_pass(
    in_turns: Callable[..., float], note: Callable[..., None], module: nn.Module, images: Tensor
) -> None:
    ratio = in_turns(lambda: ours(module, images), lambda: forward(module, images))
    note("three CAMs / plain forward pass", ratio, "×", "under 1.3 ×")


def test_explaining_beside_the_library(
    benchmark: Any, note: Callable[..., None], module: nn.Module, images: Tensor
) -> None:
    gradients = sum(
        timeit(lambda method=method: theirs(method, module, images), number=1)
        for method in (library.GradCAM, library.GradCAMPlusPlus)
    )
    few = timeit(lambda: theirs(library.AblationCAM, module, images[:ABLATED]), number=1)
    benchmark.pedantic(ours, args=(module, images), rounds=5, warmup_rounds=1)
    own = benchmark.stats.stats.median
    note("pytorch-grad-cam's Grad-CAM and Grad-CAM++ / our three CAMs", gradients / own, "×")
    extrapolated = few * IMAGES / ABLATED
    note(
        f"its three CAMs (AblationCAM extrapolated from {ABLATED} images) / our three CAMs",
        (gradients + extrapolated) / own,
        "×",
    )
