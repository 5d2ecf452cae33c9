"""The reference library's maps beside ours, and the networks they are compared on."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable

import numpy as np
import torch
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from prunebench.cams.cam import Trace
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracer import trace


def library_maps(
    method: Callable[..., object], module: nn.Module, layer: str, images: Tensor, classes: Tensor
) -> np.ndarray:
    targets = [ClassifierOutputTarget(int(k)) for k in classes]
    quiet = io.StringIO()
    with (
        contextlib.redirect_stderr(quiet),
        contextlib.redirect_stdout(quiet),
        method(module, [module.get_submodule(layer)]) as cam,
    ):
        return np.asarray(cam(images.clone(), targets))


def our_maps(traced: Trace, method: Callable[[Trace], Tensor]) -> np.ndarray:
    height, width = traced.images.shape[2:]
    return upsample(normalise(method(traced)), (height, width)).numpy()


@functools.cache
def random_network(name: str) -> tuple[nn.Module, str]:
    torch.manual_seed(3)
    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=10).double().eval(), "layer2"
    module = torchvision.models.vgg11_bn(num_classes=10)
    # Its own classifier has a hundred million weights and nothing to add here.
    module.classifier = nn.Linear(512 * 7 * 7, 10)
    return module.double().eval(), "features.27"


class Features(nn.Module):
    """Hands its input on: activations chosen by the test."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 1


def pooled_linear(weight: Tensor, pool: nn.Module | None = None) -> nn.Module:
    """2×2 max-pool and one linear layer after the target layer "0", for 2×2 maps."""
    classes, channels = weight.shape
    linear = nn.Linear(channels, classes, bias=False, dtype=torch.float64)
    linear.weight.data.copy_(weight)
    return nn.Sequential(Features(), pool or nn.MaxPool2d(2), nn.Flatten(), linear).eval()


def small_network() -> nn.Module:
    """In-place ReLUs, a normalisation with statistics; CAM is defined at layer "2"."""
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)),
        nn.Conv2d(6, 6, 3),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    norm = module[0][1]
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    nn.init.normal_(norm.bias)
    return module.double().eval()


def small_trace(images: Tensor, layer: str = "0", seed: int = 0) -> Trace:
    classes = (images[:, 0, 0, 0].abs() * 100).long() % 5
    return trace(small_network(), layer, images, classes, seed)
