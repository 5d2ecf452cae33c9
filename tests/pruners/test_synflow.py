from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.errors import RequestError
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.pruners.weights.magnitude import L1Unstructured
from prunebench.pruners.weights.synaptic_flow import compute_synaptic_flow
from prunebench.pruners.weights.synflow import SynFlow
from prunebench.seeding import seeded

SHAPE = (1, 3, 8, 8)


def drawn(network: nn.Module) -> nn.Module:
    """The network with statistics, scales and biases that are drawn too, of both signs."""
    with seeded(11, "drawn"), torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean = torch.randn(layer.num_features)
                layer.running_var = 0.2 + torch.rand(layer.num_features)
                layer.weight.copy_(torch.randn(layer.num_features))
            if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and layer.bias is not None:
                layer.bias.copy_(torch.randn(len(layer.bias)))
    return network.eval()


def chain(bounded: bool = False) -> nn.Module:
    activation: Any = nn.ReLU6 if bounded else nn.ReLU
    with seeded(2, "chain"):
        return drawn(
            nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                activation(inplace=True),
                nn.Conv2d(6, 8, 3),
                activation(),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(32, 10),
                activation(),
                nn.Linear(10, 4),
            )
        )


def naive(network: Any) -> dict[str, Tensor]:
    """|w·∂R/∂w| of a chain, for an input of ones."""
    layers = find_prunable_layers(network)
    weights = {
        name: layer.weight.detach().double().abs().requires_grad_()
        for name, layer in layers.items()
    }
    norm = network[1]
    scale = norm.weight.detach().abs().double() / (norm.running_var.double() + norm.eps).sqrt()
    x = F.conv2d(torch.ones(SHAPE).double(), weights["0"], padding=1) * scale.view(-1, 1, 1)
    x = F.adaptive_avg_pool2d(F.conv2d(x, weights["3"]), 2).flatten(1)
    flow = (x @ weights["7"].T @ weights["9"].T).sum()
    slopes = torch.autograd.grad(flow, [*weights.values()])
    return {
        name: weight.detach() * slope / flow.detach()
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }


@pytest.mark.parametrize("bounded", [False, True])
def test_scores_are_shares_of_the_flow(bounded: bool, make_context: Any) -> None:
    network = chain(bounded)
    found = SynFlow().scores(network, make_context(network))
    for name, expected in naive(network).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-9, atol=0)
        assert float(found[name].sum()) == pytest.approx(1)


def test_what_flows_into_a_unit_flows_out_of_it() -> None:
    flow = compute_synaptic_flow(chain(), SHAPE)
    torch.testing.assert_close(flow["0"].sum((1, 2, 3)), flow["3"].sum((0, 2, 3)))
    torch.testing.assert_close(flow["7"].sum(1), flow["9"].sum(0))


def test_flow_is_the_networks_own_and_not_the_datas() -> None:
    network = chain()
    before = copy.deepcopy(network.state_dict())
    first = compute_synaptic_flow(network, SHAPE)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.neg_()
                assert layer.bias is not None
                layer.bias.zero_()
    second = compute_synaptic_flow(network, SHAPE)
    for name, each in first.items():
        torch.testing.assert_close(second[name], each)
    for name, value in network.state_dict().items():
        assert torch.equal(value.abs(), before[name].abs()) or name.endswith("bias")


@pytest.mark.parametrize("gain", [1e3, 1e-3])
def test_deep_networks_neither_overflow_nor_vanish(gain: float) -> None:
    with seeded(4, "deep"):
        network = nn.Sequential(
            *[nn.Sequential(nn.Linear(6, 6), nn.ReLU()) for _ in range(60)]
        ).eval()
    with torch.no_grad():
        for layer in find_prunable_layers(network).values():
            layer.weight.mul_(gain)
    for scores in compute_synaptic_flow(network, (1, 6)).values():
        assert float(scores.sum()) == pytest.approx(1)


def test_normalisations_of_the_inputs_own_are_left_out() -> None:
    with seeded(6, "groups"):
        plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
        normed = copy.deepcopy(plain)
    normed.insert(1, nn.GroupNorm(2, 4))
    expected, found = compute_synaptic_flow(plain, SHAPE), compute_synaptic_flow(normed, SHAPE)
    for one, other in zip(expected.values(), found.values(), strict=True):
        torch.testing.assert_close(one, other)


def bottleneck() -> nn.Module:
    """A wide chain with small weights in its wide middle."""
    with seeded(8, "bottleneck"):
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 20),
            nn.ReLU(),
            nn.Linear(20, 5),
        )
    with torch.no_grad():
        network[2].weight.mul_(0.05)
    return network.eval()


@pytest.mark.parametrize("level", [0.99, 0.999])
def test_no_layer_collapses_where_magnitude_empties_one(level: float, make_context: Any) -> None:
    context = make_context(bottleneck())
    with pytest.raises(RequestError, match="layer collapse"):
        L1Unstructured().compress(bottleneck(), level, context)
    network = SynFlow(rounds=50).compress(bottleneck(), level, context)
    make_masks_permanent(network)
    layers = find_prunable_layers(network)
    left = {name: int((layer.weight != 0).sum()) for name, layer in layers.items()}
    total = sum(layer.weight.numel() for layer in layers.values())
    assert sum(left.values()) == total - round(level * total)
    assert min(left.values()) >= 1
    # And its outputs still depend on its inputs.
    assert all(scores.sum() > 0.99 for scores in compute_synaptic_flow(network, SHAPE).values())


@pytest.mark.slow
def test_not_one_weight_too_many_until_a_single_path_is_left(make_context: Any) -> None:
    context = make_context(bottleneck())
    total = sum(layer.weight.numel() for layer in find_prunable_layers(bottleneck()).values())
    masks = SynFlow().masks(bottleneck(), 1 - 4 / total, context)
    assert [int(mask.sum()) for mask in masks.values()] == [1, 1, 1, 1]


def test_rounds_matter_and_tell_how_far_they_are(make_context: Any) -> None:
    heard: list[float] = []
    context = make_context(bottleneck(), progress=lambda fraction, text: heard.append(fraction))
    many = SynFlow(rounds=20).masks(bottleneck(), 0.95, context)
    assert heard == [k / 20 for k in range(1, 21)]
    one = SynFlow(rounds=1).masks(bottleneck(), 0.95, context)
    assert not all(torch.equal(one[name], many[name]) for name in one)
