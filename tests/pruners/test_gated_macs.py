from __future__ import annotations

from typing import Any

import pytest
import torch
from gated_networks import Gated, Tapped, build, gated, networks, pattern
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.models.networks.sp2ps import Sp2psNetwork
from prunebench.networks.counting import count_total_macs
from prunebench.pruners.filters.gated_macs import GatedMacs
from prunebench.pruners.filters.gates import find_open_gates


def macs_of(found: Gated, counted: nn.Module | None = None) -> GatedMacs:
    return GatedMacs(found.module, found.graph, found.channels, found.images, counted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "examples"),
    [
        ("awkward", 10),
        ("joined", 10),
        ("squeeze-excitation", 10),
        ("small-densenet", 3),
        ("resnet20", 3),
        ("narrow-mobilenet_v2", 3),
        ("squeezenet1_1", 2),
        *(pytest.param(name, 3, marks=pytest.mark.slow) for name in ("resnet18", "mobilenet_v2")),
        *(pytest.param(name, 1, marks=pytest.mark.sweep) for name in ("vgg11_bn", "densenet121")),
    ],
)
def test_counts_what_the_pruned_network_computes(name: str, examples: int) -> None:
    macs = macs_of(build(name))

    @given(seed=st.integers(0, 2**32))
    @settings(max_examples=examples, deadline=None)
    def holds(seed: int) -> None:
        found = build(name)
        values = pattern(found.channels, torch.Generator().manual_seed(seed))
        counted = macs(values)
        assert counted.dtype == torch.float64
        assert float(counted) == pytest.approx(
            count_total_macs(found.cut(values), found.images), rel=1e-12
        )

    holds()


def test_ends() -> None:
    found = build("resnet20")
    macs = macs_of(found)
    gates = len(found.channels)
    assert gates == 3 * (16 + 32 + 64)
    assert (
        float(macs(torch.ones(gates))) == macs.whole == count_total_macs(found.module, found.images)
    )
    # The first convolution and the linear layer read and write channels without gates. A block's
    # two convolutions lose their outputs or their inputs.
    assert float(macs(torch.zeros(gates))) == 27 * 16 * 32 * 32 + 640
    assert float(macs(torch.full((gates,), 0.5))) == pytest.approx(
        (macs.whole + 27 * 16 * 32 * 32 + 640) / 2
    )


def test_gradient_is_right_and_positive() -> None:
    macs = macs_of(build("awkward"))
    values = torch.rand(48, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: macs(v) / 1e5, (values,))
    single = values.detach().float().requires_grad_()
    (gradient,) = torch.autograd.grad(macs(single), single)
    assert gradient.dtype == torch.float32
    assert bool((gradient > 0).all())


def test_number_of_values_is_checked() -> None:
    with pytest.raises(ValueError, match=r"expected 27 gates, found \(26,\)"):
        macs_of(build("joined"))(torch.ones(26))


def test_nothing_but_the_counted_part_counts() -> None:
    torch.manual_seed(0)
    found = gated(Tapped(), 12)
    tapped: Any = found.module
    network, everything = macs_of(found, tapped.network), macs_of(found)
    assert network.whole == count_total_macs(tapped.network, found.images)
    laterals = 16 * 4 * 12 * 12 + 32 * 6 * 6 * 6
    assert everything.whole == network.whole + laterals
    values = pattern(found.channels, torch.Generator().manual_seed(3))
    expected, all_of_it = float(network(values)), float(everything(values))
    tapped = found.cut(values)
    assert expected == count_total_macs(tapped.network, found.images) < network.whole
    assert all_of_it == pytest.approx(count_total_macs(tapped, found.images), rel=1e-12)


def test_the_network_is_left_alone() -> None:
    found = build("awkward")
    found.module.train()
    state = {name: value.clone() for name, value in found.module.state_dict().items()}
    macs_of(found)
    assert all(layer.training for layer in found.module.modules())
    for name, value in found.module.state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", networks("resnet20", "resnet56", "mobilenet_v2", "sp2ps"))
def test_closes_the_lowest_logits_until_the_level_is_reached(name: str) -> None:
    torch.manual_seed(0)
    found = gated(vgg(), 32) if name == "sp2ps" else build(name)
    macs, logits = macs_of(found), torch.randn(len(found.channels))
    for level in (0.0, 0.1, 0.44, 0.54):
        opened = macs.close_to(level, logits)
        assert opened.dtype == torch.bool
        reached = 1 - float(macs(opened)) / macs.whole
        assert reached == pytest.approx(level, abs=0.01)
        if level:
            assert logits[~opened].max() < logits[opened].min()
    assert 1 - count_total_macs(found.cut(opened), found.images) / macs.whole == pytest.approx(
        reached
    )


def vgg() -> nn.Module:
    return Sp2psNetwork(((16, 16), (32, 32), (64, 64), (128,)), 10, (32, 32))


def test_the_level_is_met_from_both_sides() -> None:
    """What the gates would leave open by themselves, much or little, does not matter."""
    macs = macs_of(build("resnet20"))
    logits = torch.randn(336)
    for offset in (-2.0, 2.0):
        alone = 1 - float(macs(find_open_gates(logits, offset))) / macs.whole
        opened = macs.close_to(0.5, logits + offset)
        assert abs(alone - 0.5) > 0.1
        assert torch.equal(opened, macs.close_to(0.5, logits))


def test_every_layer_keeps_a_channel() -> None:
    found = build("resnet20")
    macs, logits = macs_of(found), torch.zeros(len(found.channels))
    first = [gate for gate, c in enumerate(found.channels) if c.layer == "layer1.0.conv1"]
    logits[first] = -1.0
    opened = macs.close_to(0.3, logits)
    assert int(opened[first].sum()) == 1


def test_a_level_that_empties_a_layer_is_refused() -> None:
    found = build("resnet20")
    macs = macs_of(found)
    logits = torch.randn(len(found.channels))
    with pytest.raises(RequestError, match=r"of the macs: layer 'layer\d.*at most \d+\.\d%") as e:
        macs.close_to(0.999, logits)
    largest = float(e.value.message.split("at most ")[1].split("%")[0]) / 100
    opened = macs.close_to(largest, logits)
    left = 1 - float(macs(opened)) / macs.whole
    assert left == pytest.approx(largest, abs=0.01)


def test_ties_are_closed_in_the_order_of_the_gates() -> None:
    macs = macs_of(build("joined"))
    opened = macs.close_to(0.2, torch.zeros(27))
    closed = int((~opened).sum())
    assert closed > 0
    assert torch.equal(opened, positions(27) >= closed)


def positions(count: int) -> Tensor:
    return torch.arange(count)
