"""Networks of many kinds, whole and pruned, for which explanations are compared."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.ops.misc import Permute

from prunebench.networks.layout import Layout
from prunebench.networks.network import make_masks_permanent
from prunebench.plugins import choose
from prunebench.plugins.context import Context

CLASSES = 10

PRUNINGS: Mapping[str, tuple[str, float, dict[str, str]] | None] = {
    "whole": None,
    "half the filters": ("l1-filter", 0.5, {}),
    "a fifth of the weights": ("l1-unstructured", 0.8, {"scope": "layerwise"}),
}


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        build: Makes one.
        layer: Explained by the methods that pass through the network once or twice.
        size: Height and width of the images for these.
        cheap: Layer and size for the methods that pass once a channel, where that would take
            minutes: an earlier one with fewer channels.
        layout: Of the layers' outputs.
        filters: Parameters of the pruner of filters.
        fixed: Layers that it must leave alone.
    """

    build: Callable[[], nn.Module]
    layer: str
    size: int
    cheap: tuple[str, int] | None = None
    layout: Layout = "maps"
    filters: dict[str, str] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()


def made(kind: Kind, pruning: str) -> nn.Module:
    """A random network, pruned, in double precision, whose normalisations fit its activations.

    Normalisations have random scales: with a scale of 1, channels behind a LayerNorm add up to
    nothing, and with them the direction in which the sign of Eigen-CAM is sought.
    """
    torch.manual_seed(4)
    module = kind.build().eval()
    images = torch.randn(8, 3, kind.size, kind.size)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
    settle(module, images)
    pruned = prune(module, pruning, images, kind.filters, kind.fixed)
    return pruned.double()


def prune(
    module: nn.Module,
    pruning: str,
    images: Tensor,
    filters: Mapping[str, str] | None = None,
    fixed: frozenset[str] = frozenset(),
) -> nn.Module:
    """Prunes a network, makes masks permanent and lets its normalisations settle."""
    chosen = PRUNINGS[pruning]
    if chosen is None:
        return module
    method, level, parameters = chosen
    parameters = dict(filters or {}) if method == "l1-filter" else parameters
    context = Context(
        example=images[:1],
        batches=lambda count, batch_size: iter(()),
        classes=CLASSES,
        seed=0,
        device=torch.device("cpu"),
        baseline=copy.deepcopy(module),
        fixed_channels=fixed,
    )
    pruner = choose("pruners", method, dict(parameters)).plugin
    pruned: nn.Module = pruner.compress(module, level, context)
    make_masks_permanent(pruned)
    settle(pruned, images)
    return pruned


def settle(module: nn.Module, images: Tensor) -> None:
    """Gives each BatchNorm the statistics of these images, or signals die out on their way."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        module(images)
    module.eval()


def _vgg() -> nn.Module:
    module = models.vgg16_bn(num_classes=CLASSES)
    # Its own classifier has a hundred million weights and nothing to add here.
    module.classifier = nn.Sequential(nn.Linear(512 * 49, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    return module


def _transformer() -> nn.Module:
    module = models.VisionTransformer(
        image_size=32,
        patch_size=8,
        num_layers=2,
        num_heads=3,
        hidden_dim=24,
        mlp_dim=48,
        num_classes=CLASSES,
    )
    nn.init.normal_(module.heads.head.weight)  # zero in torchvision
    return module


LARGE = {
    "VGG16-BN": Kind(_vgg, "features.42", 64, ("features.5", 32)),
    "MobileNetV2": Kind(
        lambda: models.mobilenet_v2(num_classes=CLASSES), "features.18", 128, ("features.13", 64)
    ),
    "DenseNet121": Kind(
        lambda: models.densenet121(num_classes=CLASSES),
        "features",
        128,
        ("features.transition1", 32),
    ),
    "EfficientNet-B0": Kind(
        lambda: models.efficientnet_b0(num_classes=CLASSES), "features.8", 128, ("features.5", 64)
    ),
    "ConvNeXt-Tiny": Kind(
        lambda: models.convnext_tiny(num_classes=CLASSES), "features.7", 128, ("features.1", 32)
    ),
    "GoogLeNet": Kind(
        lambda: models.googlenet(num_classes=CLASSES, aux_logits=False, init_weights=False),
        "inception5b",
        128,
        ("inception3a", 64),
    ),
}


class Branches(nn.Module):
    """Two convolutions of the same maps, one beside the other."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(8, 6, 1), nn.BatchNorm2d(6), nn.ReLU(True))
        self.wide = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(True))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.narrow(x), self.wide(x)], 1)


class Residual(nn.Module):
    """A sum of maps and what a convolution makes of them; activations may be negative."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.SiLU(), nn.Conv2d(12, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = x + self.inner(x)
        return maps


def stem() -> Iterator[nn.Module]:
    yield nn.Conv2d(3, 8, 3, padding=1, bias=False)
    yield nn.BatchNorm2d(8)
    yield nn.ReLU(inplace=True)


def head(channels: int) -> Iterator[nn.Module]:
    yield nn.AdaptiveAvgPool2d(1)
    yield nn.Flatten()
    yield nn.Linear(channels, CLASSES)


def plain() -> nn.Module:
    """A layer followed by an in-place ReLU, pooling and two linear layers."""
    return nn.Sequential(
        *stem(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12 * 16, 16),
        nn.ReLU(inplace=True),
        nn.Linear(16, CLASSES),
    )


def channels_last() -> nn.Module:
    """Its third layer normalises maps whose channels come last."""
    to_last, to_first = Permute([0, 2, 3, 1]), Permute([0, 3, 1, 2])
    return nn.Sequential(
        nn.Conv2d(3, 12, 4, 4), to_last, nn.LayerNorm(12), nn.Linear(12, 20), nn.GELU(), to_first,
        *head(20),
    )  # fmt: skip


SMALL = {
    "a plain network": Kind(plain, "5", 16),
    "branches": Kind(
        lambda: nn.Sequential(*stem(), nn.MaxPool2d(2), Branches(), *head(12)), "4", 12
    ),
    "a residual network": Kind(
        lambda: nn.Sequential(*stem(), Residual(), nn.SiLU(), Residual(), *head(8)), "3", 8
    ),
    "channels last": Kind(channels_last, "2", 20, layout="channels-last"),
    # Torch-Pruning removes width that torchvision's code for vision transformers then still
    # expects; what it can halve is the neurons between the two layers of each perceptron.
    "a vision transformer": Kind(
        _transformer,
        "encoder.layers.encoder_layer_1.ln_1",
        32,
        layout="tokens",
        filters={"target": "channels"},
        fixed=frozenset({"conv_proj"}),
    ),
}
"""Seconds in all."""


def resnet20(state: Any) -> nn.Module:
    """The published CIFAR ResNet-20."""
    module: nn.Module = choose("models", "resnet20").plugin.build(CLASSES, 3, (32, 32))
    module.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    return module.eval()
