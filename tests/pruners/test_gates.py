from __future__ import annotations

from typing import Any

import pytest
import torch
from gated_networks import Gated, Tapped, build, gated, gated_untried, networks, pattern
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.pruners.filters.gates import (
    GatedNetwork,
    find_open_gates,
    measure_disagreement,
    sample_gates,
)

FAST = ("awkward", "joined", "squeeze-excitation", "small-densenet", "resnet20", "mobilenet_v2")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_of(found: Gated) -> GatedNetwork:
    return GatedNetwork(found.module, found.graph, found.channels)


def hooks(module: nn.Module) -> list[int]:
    return [len(layer._forward_pre_hooks) + len(layer._forward_hooks) for layer in module.modules()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", networks(*FAST, "resnet18", "squeezenet1_1", large=("vgg11_bn", "densenet121"))
)
@torch.no_grad()
def test_a_closed_gate_is_the_removal_of_its_channel(name: str) -> None:
    found = build(name)
    whole = found.module(found.images)
    values = pattern(found.channels, generator())
    seen = network_of(found)(found.images, values)
    removed = found.cut(values)(found.images)
    assert (seen - whole).abs().max() > 0.01 * whole.abs().max()
    assert torch.allclose(seen, removed, rtol=1e-9, atol=1e-9 * float(removed.abs().max()))


@pytest.mark.parametrize("name", networks("awkward", "small-densenet", "resnet20"))
@torch.no_grad()
def test_open_gates_leave_the_output_bit_for_bit(name: str) -> None:
    found = build(name)
    module, images = found.module.float(), found.images.float()
    gates = torch.ones(len(found.channels))
    assert torch.equal(network_of(found)(images, gates), module(images))


@torch.no_grad()
def test_readers_beside_the_network_are_gated_too() -> None:
    torch.manual_seed(0)
    found = gated(Tapped(), 12)
    assert {channel.layer.partition(".")[0] for channel in found.channels} == {"network"}
    whole = found.module(found.images)
    values = pattern(found.channels, generator(1))
    seen = network_of(found)(found.images, values)
    tapped: Any = found.cut(values)
    for one, other, before in zip(seen, tapped(found.images), whole, strict=True):
        assert one.shape == before.shape
        assert not torch.allclose(one, before)
        assert torch.allclose(one, other, rtol=1e-9)
    assert torch.allclose(tapped.network(found.images), seen[0])


@torch.no_grad()
def test_coupled_channels_share_a_gate() -> None:
    found = build("awkward")
    module: Any = found.module
    # 16 of stem, second and depthwise; 16 of first; 4 of one filter each go together for the
    # grouped convolution's sake, of its inputs and of its outputs.
    assert len(found.channels) == 16 + 16 + 32 // 4 + 32 // 4
    others = ("first.0", "pointwise.0", "grouped.0")
    shared = [gate for gate, c in enumerate(found.channels) if c.layer not in others]
    assert len(shared) == 16
    (channel,) = found.channels[shared[3]].indices
    for name, unchanged in (("first", slice(None)), ("pointwise", slice(0, 0))):
        convolution = module.get_submodule(name)[0]
        kept: list[Tensor] = []
        convolution.register_forward_hook(lambda layer, given, output, to=kept: to.append(given[0]))
        values = torch.ones(len(found.channels), dtype=torch.float64)
        network_of(found)(found.images, values)
        values[shared[3]] = 0
        network_of(found)(found.images, values)
        opened, closed = kept
        assert bool((opened[:, channel] != 0).any())
        assert not bool(closed[:, channel].any())
        # The first reader of all sees the other channels as they were.
        opened[:, channel] = 0
        assert torch.equal(opened[:, unchanged], closed[:, unchanged])


def test_gradients_by_gates_are_right() -> None:
    found = build("joined")
    network = network_of(found)
    values = torch.rand(len(found.channels), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: network(found.images, v), (values,))


def test_gradients_reach_the_gates_of_a_frozen_network() -> None:
    found = build("resnet20")
    found.module.requires_grad_(False)
    values = torch.full((len(found.channels),), 0.5, dtype=torch.float64).requires_grad_()
    network_of(found)(found.images, values).square().sum().backward()
    assert values.grad is not None
    # A filter that is negative everywhere has none.
    assert float((values.grad != 0).double().mean()) > 0.9
    assert all(parameter.grad is None for parameter in found.module.parameters())


def test_two_passes_do_not_disturb_each_other() -> None:
    found = build("awkward")
    network = network_of(found)
    first, second = (torch.rand(len(found.channels)).double() for _ in range(2))

    def gradient(values: Tensor) -> Tensor:
        needed = values.clone().requires_grad_()
        return torch.autograd.grad(network(found.images, needed).sum(), needed)[0]

    expected = gradient(first)
    kept = first.clone().requires_grad_()
    one = network(found.images, kept)
    other = network(found.images, second)
    assert not torch.allclose(one, other)
    assert torch.equal(torch.autograd.grad(one.sum(), kept)[0], expected)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_alone(training: bool) -> None:
    found = build("awkward")
    module: Any = found.module
    module.train(training)
    module.stem[1].eval()
    flags, before = [layer.training for layer in module.modules()], hooks(module)
    handle = module.stem.register_forward_pre_hook(lambda layer, given: None)
    network = network_of(found)
    values = torch.rand(len(found.channels)).double()
    network(found.images, values)
    with pytest.raises(RuntimeError):
        network(found.images[:, :1], values)
    measure_disagreement(module, found.graph, found.channels, found.images, generator())
    handle.remove()
    assert hooks(module) == before
    assert [layer.training for layer in module.modules()] == flags


def test_number_of_values_is_checked() -> None:
    found = build("joined")
    with pytest.raises(ValueError, match=r"expected 27 gates, found a \(28,\)"):
        network_of(found)(found.images, torch.ones(28))


class Mixing(nn.Module):
    """Something between two convolutions that may mix channels."""

    def __init__(self, between: nn.Module) -> None:
        super().__init__()
        self.first, self.between, self.last = nn.Conv2d(3, 16, 3), between, nn.Conv2d(16, 5, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.between(self.first(images))).mean((2, 3))
        return logits


@pytest.mark.parametrize(
    ("between", "mixes"),
    [
        (nn.BatchNorm2d(16), False),
        (nn.InstanceNorm2d(16, affine=True), False),
        (nn.GroupNorm(1, 16), True),
        (nn.Softmax(1), True),
    ],
)
def test_mixed_channels_are_noticed(between: nn.Module, mixes: bool) -> None:
    torch.manual_seed(0)
    found = gated(Mixing(between), 8)
    assert len(found.channels) == 16
    amount = measure_disagreement(
        found.module, found.graph, found.channels, found.images, generator()
    )
    assert amount > 0.01 if mixes else amount < 1e-12


def test_disagreement_looks_at_all_outputs_and_leaves_weights() -> None:
    found = gated(Tapped(), 12)
    state = {name: value.clone() for name, value in found.module.state_dict().items()}
    found.module.requires_grad_(False)
    assert (
        measure_disagreement(found.module, found.graph, found.channels, found.images, generator())
        < 1e-12
    )
    for name, value in found.module.state_dict().items():
        assert torch.equal(value, state[name])


class FixedShape(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.reshape(-1, 2, 8, 6, 6).transpose(1, 2).reshape(-1, 16, 6, 6)


def test_a_network_that_cannot_lose_channels_is_refused() -> None:
    found = gated_untried(Mixing(FixedShape()), 8)
    with pytest.raises(RequestError, match="Mixing cannot run"):
        measure_disagreement(
            found.module, found.graph, found.channels, found.images[:1], generator()
        )


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.attention = nn.MultiheadAttention(8, 1, batch_first=True)
        self.last = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.first(images).flatten(2).transpose(1, 2)
        logits: Tensor = self.last(self.attention(tokens, tokens, tokens)[0].mean(1))
        return logits


def test_other_readers_than_convolutions_and_linear_layers_are_refused() -> None:
    found = gated_untried(Attending(), 6)
    with pytest.raises(RequestError, match=r"'attention' \(MultiheadAttention\) reads .* 'first'"):
        network_of(found)


def test_sampled_gates() -> None:
    torch.manual_seed(0)
    logits = torch.full((20_000,), -1.0, requires_grad=True)
    values = sample_gates(logits, 1.5, 0.4)
    # More than one half with probability sigmoid(θ + offset); a hundredth is three deviations.
    assert float((values > 0.5).float().mean()) == pytest.approx(0.6225, abs=0.01)
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    assert float(gradient.min()) >= 0
    assert float(gradient.max()) > 0.5


def test_sampled_gates_hang_on_the_seed_and_nothing_else() -> None:
    def drawn(seed: int, temperature: float = 0.4) -> Tensor:
        torch.manual_seed(seed)
        return sample_gates(torch.zeros(50), 3.0, temperature)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(drawn(1) > 0.5, drawn(1, 1e-6) > 0.5)


def test_limits_of_temperature_and_offset() -> None:
    cold = sample_gates(torch.randn(500), 0.0, 1e-7)
    assert set(cold.tolist()) == {0.0, 1.0}
    assert bool((sample_gates(torch.randn(500), 40.0, 0.4) > 0.999).all())
    assert bool((sample_gates(torch.randn(500), -40.0, 0.4) < 0.001).all())
    assert find_open_gates(torch.tensor([-3.5, -3.0, -2.5]), 3.0).tolist() == [False, False, True]
