"""Channels that go where the dependency graph does not expect them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.errors import RequestError
from prunebench.pruners.filters.coupling import find_couplings, list_channels, silence, trace
from prunebench.pruners.filters.magnitude import L1Filter
from prunebench.pruners.filters.marks import make_marks, read_marks
from prunebench.pruners.filters.reconstruction import find_readers
from prunebench.pruners.filters.removable import cut_and_compare, find_whole_layers
from prunebench.pruners.weights.magnitude import L1Unstructured


class Between(nn.Module):
    """Two convolutions and what is done to the channels between them."""

    def __init__(self, between: Callable[[Tensor], Tensor], width: int = 8) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(width, 6, 3)
        self.head = nn.Linear(6, 5)
        self._between = between

    def forward(self, images: Tensor) -> Tensor:
        maps = self._between(self.first(images).relu())
        found: Tensor = self.head(self.second(maps).relu().mean((2, 3)))
        return found


def params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def whole_layers(network: nn.Module) -> set[str]:
    example = torch.zeros(1, 3, 8, 8)
    return set(find_whole_layers(network.eval(), trace(network, example)))


@pytest.mark.parametrize(
    "between",
    [
        lambda maps: maps.flip(1),
        lambda maps: maps.roll(1, 1),
        lambda maps: maps[:, torch.arange(7, -1, -1)],
        lambda maps: maps.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2),
        lambda maps: maps + maps.flip(1),
        lambda maps: F.pad(maps[:, :6], (0, 0, 0, 0, 1, 1)),
    ],
    ids=["flip", "roll", "index", "shuffle", "sum", "pad"],
)
def test_a_layer_whose_channels_are_read_in_another_order_keeps_them(
    between: Any, make_context: Any
) -> None:
    network = Between(between)
    assert whole_layers(network) == {"first"}
    pruned = L1Filter(target="channels").compress(network, 0.5, make_context(network))
    assert (pruned.first.out_channels, pruned.second.out_channels) == (8, 3)


@pytest.mark.parametrize(
    ("between", "width"),
    [
        (lambda maps: F.max_pool2d(F.hardsigmoid(F.relu6(F.silu(maps))), 2), 8),
        (lambda maps: torch.cat([maps, maps * 2], 1), 16),
        (lambda maps: maps / maps.norm(dim=(2, 3), keepdim=True), 8),
        (lambda maps: maps - maps.mean(0, keepdim=True), 8),
        (lambda maps: maps.view(1, -1, 6, 6), 8),
    ],
    ids=["elementwise", "concatenation", "norm of each map", "mean of a batch", "one image"],
)
def test_channels_that_keep_their_order_may_go(between: Any, width: int) -> None:
    assert not whole_layers(Between(between, width))


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(8), nn.GroupNorm(1, 8), nn.InstanceNorm2d(8), nn.PReLU(8)]
)
def test_normalisation_keeps_channels_where_they_are(norm: nn.Module) -> None:
    class Normalised(Between):
        def __init__(self) -> None:
            super().__init__(lambda maps: maps)
            self.norm = norm
            self._between = self.norm

    assert not whole_layers(Normalised())


def test_thinet_samples_no_layer_that_keeps_its_channels() -> None:
    network = Between(lambda maps: maps[:, :4] * maps[:, 4:], 4).eval()
    found = find_readers(network, trace(network, torch.zeros(1, 3, 8, 8)))
    assert [each.layer for each in found] == ["second"]


def test_all_marks_are_read_in_one_run() -> None:
    class Counted(Between):
        batches: ClassVar[list[int]] = []

        def forward(self, images: Tensor) -> Tensor:
            self.batches.append(len(images))
            return super().forward(images)

    read_marks(Counted(lambda maps: maps), torch.zeros(1, 3, 8, 8), {"first": make_marks(8)})
    assert Counted.batches == [7]


class OptionA(nn.Module):
    """A shortcut without weights: every second position, and zeros for the new channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, 2, padding=1)
        self.outer, self.head = nn.Conv2d(12, 16, 3, padding=1), nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        shortcut = F.pad(stem[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        maps = self.outer(self.inner(stem).relu()) + shortcut
        found: Tensor = self.head(maps.relu().mean((2, 3)))
        return found


def test_padded_shortcuts_keep_their_channels_and_inner_layers_lose_theirs(
    make_context: Any,
) -> None:
    network = OptionA()
    assert "inner" not in whole_layers(network)
    before = copy.deepcopy(network)
    with torch.no_grad():
        for each in (network, before):
            each.inner.weight[::2], each.inner.bias[::2] = 0, 0
    context = make_context(network)
    L1Filter(rates={"inner": 1.0}, target="channels").compress(network, 0.5, context)
    assert network.inner.out_channels == 6
    assert torch.allclose(network(context.example), before(context.example), atol=1e-6)


def test_a_removal_that_moves_other_channels_is_refused() -> None:
    network = Between(lambda maps: maps.roll(1, 1)).eval()
    graph = trace(network, torch.zeros(1, 3, 8, 8))
    first = next(each for each in find_couplings(network, graph) if each.layer == "first")
    channels = list(list_channels(first, lambda group: torch.arange(8.0)))
    with pytest.raises(RequestError, match="'second' reads others than before"):
        cut_and_compare(network, graph, channels[2:4])


def test_rates_for_a_layer_that_keeps_its_channels_are_refused_beforehand(
    make_context: Any,
) -> None:
    network = Between(lambda maps: maps.flip(1))
    method = L1Filter(rates={"first": 0.5})
    with pytest.raises(RequestError, match="'rates' names 'first', where nothing can be removed"):
        method.check(network, make_context(network))


def test_a_network_without_removable_channels_is_refused_beforehand(make_context: Any) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    with pytest.raises(RequestError, match="no layer's channels may be removed from Sequential"):
        L1Filter().check(network, make_context(network))


class Ghost(nn.Module):
    """Half of the channels are made from the other half, and a shortcut goes around."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first, self.cheap = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        maps = self.first(stem)
        summed = torch.cat([maps, self.cheap(maps)], 1)[:, :16] + stem
        found: Tensor = self.head(summed.relu().mean((2, 3)))
        return found


@pytest.mark.parametrize("level", [0.2, 0.4, 0.6])
def test_the_level_is_reached_where_channels_go_in_pairs(level: float, make_context: Any) -> None:
    whole = Ghost()
    pruned = L1Filter().compress(copy.deepcopy(whole), level, make_context(whole))
    # A channel of the first layer takes one of the cheap ones and two of the stem along.
    assert 1 - params(pruned) / params(whole) == pytest.approx(level, abs=1 / 16)
    assert pruned.stem.out_channels == 2 * pruned.first.out_channels


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_grouped_convolutions_may_be_cut_to_one_channel_a_group(groups: int) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=groups), nn.Conv2d(8, 6, 1)
    ).eval()
    graph = trace(network, torch.zeros(1, 3, 8, 8))
    couplings = {each.layer: each for each in find_couplings(network, graph)}
    channels = list(list_channels(couplings["1"], lambda group: torch.arange(8.0)))
    assert not find_whole_layers(network, graph)
    cut_and_compare(network, graph, channels[:-1])
    assert network[1].out_channels == (1 if groups == 8 else groups)


class Tied(nn.Module):
    """Two convolutions with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3)
        self.c.weight = self.b.weight
        self.head = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.c(self.b(self.a(images).relu()).relu())
        found: Tensor = self.head(maps.relu().mean((2, 3)))
        return found


def test_tied_weights_are_removed_once_and_stay_tied(make_context: Any) -> None:
    from prunebench.networks import Architecture
    from prunebench.networks import network as networks

    whole = Tied()
    pruned = L1Filter().compress(copy.deepcopy(whole), 0.3, make_context(whole))
    assert pruned.c.weight is pruned.b.weight
    assert 1 - params(pruned) / params(whole) == pytest.approx(0.3, abs=0.03)  # a channel is 0.05
    shape = Architecture(factory="tied", classes=5, channels=3, size=(8, 8), mean=(), std=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Architecture, "build", lambda self: Tied())
        kept = networks.from_module(pruned, shape)
        again = networks.from_tensors(kept.architecture, networks.to_tensors(kept)).module
    assert params(again) == params(pruned)


def test_tied_weights_are_masked_once_and_alike(make_context: Any) -> None:
    whole = Tied()
    masked = L1Unstructured().compress(copy.deepcopy(whole), 0.5, make_context(whole))
    assert torch.equal(masked.b.weight_mask, masked.c.weight_mask)
    assert masked.b.weight_orig is masked.c.weight_orig
    weights = [masked.a.weight, masked.b.weight, masked.head.weight]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    assert zeros == round(sum(weight.numel() for weight in weights) / 2)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_silenced_channels_of_transposed_convolutions_give_nothing(groups: int) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ConvTranspose2d(12, 6, 3, groups=groups), nn.Conv2d(6, 5, 3)
    ).eval()
    graph = trace(network, torch.zeros(1, 3, 8, 8))
    coupling = next(each for each in find_couplings(network, graph) if each.layer == "1")
    channel = next(list_channels(coupling, lambda group: torch.arange(6.0)))
    maps = torch.randn(2, 12, 6, 6)
    before = network[1](maps)
    silence(network, graph, [channel])
    gone = torch.tensor([index in channel.indices for index in range(6)])
    after = network[1](maps)
    assert not after[:, gone].any()
    assert torch.equal(after[:, ~gone], before[:, ~gone])
