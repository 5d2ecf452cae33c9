from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins.context import Context
from prunebench.plugins.preparing import prepared
from prunebench.pruners.weights.curvature import estimate_hessian_diagonal
from prunebench.pruners.weights.gradient_magnitude import GradientMagnitude
from prunebench.pruners.weights.grasp import Grasp
from prunebench.pruners.weights.lamp import Lamp
from prunebench.pruners.weights.mask_pruner import MaskPruner
from prunebench.pruners.weights.obd import OptimalBrainDamage
from prunebench.pruners.weights.snip import Snip
from prunebench.pruners.weights.synflow import SynFlow
from prunebench.seeding import seeded

METHODS: list[MaskPruner] = [
    Lamp(),
    GradientMagnitude(),
    Snip(per_class=2),
    Grasp(per_class=2),
    SynFlow(rounds=5),
    OptimalBrainDamage(),
    OptimalBrainDamage(curvature="hutchinson", probes=1),
]


def named(method: MaskPruner) -> str:
    return type(method).__name__


class Small(nn.Module):
    """Two convolutions and a linear layer; in-place activations, and a layer nobody uses."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3)
        self.idle = nn.Linear(3, 2)
        self.last = nn.Linear(4, 5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.relu(self.second(x))
        return self.last(F.max_pool2d(x, 2).mean((2, 3)))


@pytest.fixture
def small() -> Small:
    with seeded(3, "small network"):
        network = Small().double().eval()
        network.norm.running_mean = 0.2 * torch.randn(4).double()
        network.norm.running_var = 0.5 + torch.rand(4).double()
        nn.init.normal_(network.norm.weight, 1, 0.2)
    for parameter in network.norm.parameters():
        parameter.requires_grad_(False)
    return network


@pytest.fixture
def doubled(small: Small, make_context: Any) -> Context:
    """The six images of the other tests in double precision, in a context for the network."""
    context: Context = make_context(small)
    inputs, labels = next(context.batches(6, 6))
    return dataclasses.replace(
        context, batches=lambda count, size: iter([(inputs[:count].double(), labels[:count])])
    )


class Naive:
    """The loss as a function of one long vector of all weights in use, layer after layer."""

    def __init__(self, network: Small, context: Context, temperature: float = 1.0) -> None:
        self.network, self.temperature = network, temperature
        self.inputs, self.labels = next(iter(context.batches(6, 6)))
        self.layers = [network.first, network.second, network.last]
        self.at = torch.cat([layer.weight.detach().flatten() for layer in self.layers])

    def losses(self, flat: Tensor) -> Tensor:
        sizes = [layer.weight.numel() for layer in self.layers]
        first, second, last = (
            part.view(layer.weight.shape)
            for part, layer in zip(flat.split(sizes), self.layers, strict=True)
        )
        norm, one = self.network.norm, (1, -1, 1, 1)
        x = F.conv2d(self.inputs, first, padding=1)
        deviation = (norm.running_var + norm.eps).sqrt()
        x = (x - norm.running_mean.view(one)) / deviation.view(one)
        x = (x * norm.weight.view(one) + norm.bias.view(one)).clamp(min=0)
        x = F.conv2d(x, second, self.network.second.bias.detach()).clamp(min=0)
        x = F.max_pool2d(x, 2).mean((2, 3))
        logits = (x @ last.T + self.network.last.bias.detach()) / self.temperature
        return -logits.log_softmax(1)[torch.arange(len(logits)), self.labels]

    def gradient(self) -> Tensor:
        at = self.at.clone().requires_grad_()
        (found,) = torch.autograd.grad(self.losses(at).mean(), at)
        return found

    def hessian(self) -> Tensor:
        found = torch.autograd.functional.hessian(lambda w: self.losses(w).mean(), self.at)
        assert isinstance(found, Tensor)
        return found

    def squared_gradients(self) -> Tensor:
        found = torch.autograd.functional.jacobian(self.losses, self.at)
        assert isinstance(found, Tensor)
        return found.square().mean(0)


def flat_scores(method: MaskPruner, network: nn.Module, context: Context) -> Tensor:
    """The scores of the layers in use as one vector, in their order."""
    context = prepared(method.prepare(), network, context)
    scores = method.scores(network, context)
    assert {name: each.shape for name, each in scores.items()} == {
        name: layer.weight.shape for name, layer in find_prunable_layers(network).items()
    }
    assert (scores.pop("idle") == 0).all()
    return torch.cat([each.flatten() for each in scores.values()])


def test_lamp_is_the_share_of_the_larger_weights(tiny: Any, make_context: Any) -> None:
    for name, scores in Lamp().scores(tiny(), make_context(tiny())).items():
        weight = find_prunable_layers(tiny())[name].weight.detach().double()
        for place in [(0, 0), (1, 2), (4, 1)]:
            here = weight[place].flatten()[0]
            larger = sum(float(w) ** 2 for w in weight.flatten() if abs(w) >= abs(here))
            assert float(scores[place].flatten()[0]) == pytest.approx(float(here**2) / larger)
        assert scores.max() == 1


def test_lamp_hangs_on_no_layers_scale_and_empties_none(tiny: Any, make_context: Any) -> None:
    context, network, scaled = make_context(tiny()), tiny(), tiny()
    with torch.no_grad():
        scaled[3].weight.mul_(1e-3)
        scaled[7].weight.mul_(50)
    plain, other = Lamp().scores(network, context), Lamp().scores(scaled, context)
    for name, scores in plain.items():
        torch.testing.assert_close(other[name], scores, rtol=1e-5, atol=0)
    total = sum(scores.numel() for scores in plain.values())
    masks = Lamp().masks(scaled, 1 - 4 / total, context)
    assert [int(mask.sum()) for mask in masks.values()] == [1, 1, 1, 1]


def test_lamp_of_a_layer_of_zeros_is_zero(tiny: Any, make_context: Any) -> None:
    network = tiny()
    nn.init.zeros_(network[7].weight)
    assert (Lamp().scores(network, make_context(tiny()))["7"] == 0).all()


def test_gradient_magnitude(small: Small, doubled: Context) -> None:
    naive = Naive(small, doubled)
    scores = flat_scores(GradientMagnitude(), small, doubled)
    torch.testing.assert_close(scores, (naive.at * naive.gradient()).abs())


def test_snip_is_the_normalised_sensitivity(small: Small, doubled: Context) -> None:
    naive = Naive(small, doubled)
    scores = flat_scores(Snip(per_class=6), small, doubled)
    expected = (naive.at * naive.gradient()).abs()
    torch.testing.assert_close(scores, expected / expected.sum())


def test_snip_of_a_loss_without_slope_is_zero(small: Small, doubled: Context) -> None:
    nn.init.zeros_(small.last.weight)
    nn.init.zeros_(small.second.weight)
    with torch.no_grad():
        small.second.bias.fill_(-1)
    assert (flat_scores(Snip(), small, doubled) == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_grasp_by_the_whole_hessian(temperature: float, small: Small, doubled: Context) -> None:
    naive = Naive(small, doubled, temperature)
    scores = flat_scores(Grasp(per_class=6, temperature=temperature), small, doubled)
    expected = naive.at * (naive.hessian() @ naive.gradient())
    torch.testing.assert_close(scores, expected, rtol=1e-6, atol=1e-14)


def test_grasp_removes_what_adds_least_to_the_gradient_flow(small: Small, doubled: Context) -> None:
    scores = flat_scores(Grasp(per_class=6, temperature=1), small, doubled)
    naive = Naive(small, doubled)
    before, at = naive.gradient().square().sum(), naive.at.clone()

    def flow_after_a_step_to_zero(place: Tensor) -> Tensor:
        naive.at = at.clone()
        naive.at[place] *= 1 - 1e-6
        return naive.gradient().square().sum()

    assert flow_after_a_step_to_zero(scores.argmin()) > before
    assert flow_after_a_step_to_zero(scores.argmax()) < before


def test_fisher_is_the_mean_of_squared_gradients(small: Small, doubled: Context) -> None:
    naive = Naive(small, doubled)
    scores = flat_scores(OptimalBrainDamage(), small, doubled)
    torch.testing.assert_close(scores, naive.squared_gradients() * naive.at**2 / 2)


@pytest.mark.slow
def test_hutchinson_is_the_diagonal_within_its_sampling_error(
    small: Small, doubled: Context
) -> None:
    probes = 150
    naive = Naive(small, doubled)
    hessian = naive.hessian()
    diagonal = estimate_hessian_diagonal(small, doubled.batches(6, 6), probes, seed=0)
    assert (diagonal.pop("idle") == 0).all()
    found = torch.cat([each.flatten() for each in diagonal.values()])
    # One probe's entry i is H_ii plus the sum over j of ±H_ij.
    deviation = (hessian.square().sum(1) - hessian.diagonal().square()).sqrt() / probes**0.5
    away = (found - hessian.diagonal()) / deviation.clamp(min=1e-12)
    assert away.abs().max() < 5
    assert away.square().mean() == pytest.approx(1, abs=0.5)


def test_the_sign_of_a_curvature_does_not_count(small: Small, doubled: Context) -> None:
    method = OptimalBrainDamage(curvature="hutchinson", probes=3)
    within = prepared(method.prepare(), small, doubled)
    curvature = within.prepared["curvature"]
    assert any((each < 0).any() for each in curvature.values())
    for name, scores in method.scores(small, within).items():
        weight = find_prunable_layers(small)[name].weight.detach()
        torch.testing.assert_close(scores, (curvature[name] * weight**2).abs() / 2)


@pytest.mark.parametrize("method", METHODS, ids=named)
def test_nothing_else_is_touched(method: MaskPruner, small: Small, doubled: Context) -> None:
    state, random_state = copy.deepcopy(small.state_dict()), torch.get_rng_state()
    flags = [parameter.requires_grad for parameter in small.parameters()]
    context = prepared(method.prepare(), small, doubled)
    method.masks(small, 0.5, context)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [parameter.requires_grad for parameter in small.parameters()] == flags
    assert all(parameter.grad is None for parameter in small.parameters())
    for name, value in small.state_dict().items():
        assert torch.equal(value, state[name])
    for name, value in doubled.baseline.state_dict().items():
        assert torch.equal(value, state[name])
