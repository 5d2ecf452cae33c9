"""The level asked for is the level reached, on the networks people prune."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from prunebench.networks.counting import count_total_macs
from prunebench.plugins import choose
from prunebench.plugins.preparing import prepared
from prunebench.pruners.filters.magnitude import L1Filter
from prunebench.seeding import seeded

NETWORKS = {
    "resnet20": (32, ["global", "layerwise", "erk"]),
    "resnet56": (32, ["global"]),
    "sp2ps-cifar10": (32, ["global", "layerwise"]),
    "sp2ps-stl10": (96, ["erk"]),
    "torchvision/vgg16_bn": (32, ["global", "erk"]),
    "torchvision/mobilenet_v2": (64, ["global", "layerwise"]),
    "torchvision/densenet121": (64, ["global", "erk"]),
}
SLOW = {"torchvision/mobilenet_v2", "resnet56", "sp2ps-cifar10"}
SWEEP = {"torchvision/densenet121", "torchvision/vgg16_bn", "sp2ps-stl10"}


def _mark_by_size(name: str) -> list[pytest.MarkDecorator]:
    if name in SWEEP:
        return [pytest.mark.sweep]
    return [pytest.mark.slow] if name in SLOW else []


def sizes(network: nn.Module, example: torch.Tensor) -> dict[str, float]:
    return {
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "macs": count_total_macs(network, example),
    }


@pytest.mark.slow
@pytest.mark.parametrize("target", ["params", "macs"])
@pytest.mark.parametrize(
    ("name", "scope"),
    [
        pytest.param(name, scope, marks=_mark_by_size(name))
        for name, (_, scopes) in NETWORKS.items()
        for scope in scopes
    ],
)
def test_filters_reach_their_level(name: str, scope: Any, target: Any, make_context: Any) -> None:
    size = NETWORKS[name][0]
    model = choose("models", name).plugin
    with seeded(0, "levels"):
        network = model.build(10, 3, (size, size)).eval()
    last = [n for n, layer in network.named_modules() if isinstance(layer, nn.Linear)][-1]
    fixed = frozenset({*model.fixed_channels(), last})
    context = make_context(network, size=size, classes=10, fixed_channels=fixed)
    pruner = L1Filter(scope=scope, target=target)
    context = prepared(pruner.prepare(), network, context)
    before = sizes(network, context.example)
    for level in (0.2, 0.7):
        pruned = pruner.compress(copy.deepcopy(network), level, context)
        after = sizes(pruned, context.example)
        assert 1 - after[target] / before[target] == pytest.approx(level, abs=0.01)
        assert pruned(context.example).shape == (1, 10)
        for layer in pruned.modules():
            if isinstance(layer, _ConvNd):
                assert min(layer.out_channels, layer.in_channels) > 0
                assert layer.weight.shape[0] == layer.out_channels
                assert layer.weight.shape[1] * layer.groups == layer.in_channels


@pytest.mark.slow
@pytest.mark.parametrize("name", ["l1-unstructured", "random-unstructured"])
@pytest.mark.parametrize("scope", ["global", "layerwise", "erk"])
def test_masks_reach_their_level_on_grouped_convolutions(
    name: str, scope: str, make_context: Any
) -> None:
    with seeded(0, "levels"):
        network = choose("models", "torchvision/mobilenet_v2").plugin.build(10, 3, (64, 64)).eval()
    context = make_context(network, size=64, classes=10)
    pruner: Any = choose("pruners", name, {"scope": scope}).plugin
    pruned = pruner.compress(network, 0.4, context)
    layers = [m for m in pruned.modules() if isinstance(m, _ConvNd | nn.Linear)]
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    total = sum(layer.weight.numel() for layer in layers)
    assert zeros / total == pytest.approx(0.4, abs=0.001)
