from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from prunebench.model_files.loaded_weights import load_weights
from prunebench.model_files.weights import read_weights
from prunebench.models.cifar_resnet import ResNet20
from prunebench.models.networks.cifar_resnet import CifarResNet
from prunebench.plugins.preparing import prepared
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.channel_sums import sum_by_channel
from prunebench.pruners.filters.coupling import trace
from prunebench.pruners.filters.fpgm import Fpgm
from prunebench.pruners.filters.group_norm import GroupNorm
from prunebench.pruners.filters.hessian import HessianFilter
from prunebench.pruners.filters.magnitude import L2Filter, LampFilter, RandomFilter
from prunebench.pruners.filters.network_slimming import NetworkSlimming
from prunebench.pruners.filters.removable import find_channels
from prunebench.pruners.filters.soft_filter import SoftFilter
from prunebench.pruners.filters.taylor import Taylor

Target = Literal["params", "channels", "macs"]
UNTRAINED = Recipe(epochs=0)
METHODS: dict[str, Any] = {
    "l2-filter": L2Filter,
    "lamp-filter": LampFilter,
    "fpgm": Fpgm,
    "taylor": Taylor,
    "hessian-filter": HessianFilter,
    "network-slimming": lambda **how: NetworkSlimming(training=UNTRAINED, **how),
    "group-norm": lambda **how: GroupNorm(regularisation="none", **how),
    "soft-filter": lambda **how: SoftFilter(training=UNTRAINED, **how),
}


class Residual(nn.Module):
    """A stem, a block with a shortcut past it, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn0 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv1, self.bn1 = nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.hidden = nn.Linear(6 * 4, 7)
        self.fc = nn.Linear(7, 5)

    def forward(self, images: Tensor, gates: dict[str, Tensor] | None = None) -> Tensor:
        """``gates`` are factors of the channels of three groups where the next layers read them."""

        def gated(name: str, maps: Tensor) -> Tensor:
            return maps * gates[name].view(-1, *[1] * (maps.dim() - 2)) if gates else maps

        stream = self.bn0(self.stem(images)).relu()
        inner = self.bn1(self.conv1(gated("stem", stream))).relu()
        stream = (stream + self.bn2(self.conv2(gated("conv1", inner)))).relu()
        pooled = F.adaptive_avg_pool2d(gated("stem", stream), 2).flatten(1)
        found: Tensor = self.fc(gated("hidden", self.hidden(pooled).relu()))
        return found


def residual() -> Residual:
    torch.manual_seed(5)
    network = Residual().eval()
    layer: Any
    for layer in (network.bn0, network.bn1, network.bn2):
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias, std=0.3)
        nn.init.normal_(layer.running_mean, std=0.3)
        nn.init.uniform_(layer.running_var, 0.5, 2)
    return network


def scores(method: Any, network: nn.Module, context: Any) -> dict[str, Tensor]:
    """What a method says of each filter, by the first layer of its group."""
    context = prepared(method.preparations(), network, context)
    importance = method.importance(network, context)
    channels = find_channels(
        network, trace(network, context.example), importance, (), method.whole_groups
    )
    found: dict[str, dict[int, float]] = {}
    for channel in channels:
        (index,) = channel.indices
        # Coupled filters bear the name of whichever was met first.
        layer = "stem" if channel.layer == "conv2" else channel.layer
        found.setdefault(layer, {})[index] = channel.importance
    return {
        name: torch.tensor([each[k] for k in range(len(each))], dtype=torch.float64)
        for name, each in found.items()
    }


# The filters of each group of the residual network, and the weights that read them.
FILTERS = {"stem": ("stem", "conv2"), "conv1": ("conv1",), "hidden": ("hidden",)}
READERS = {"stem": ("conv1", "hidden"), "conv1": ("conv2",), "hidden": ("fc",)}


def filters(network: nn.Module, group: str) -> list[Tensor]:
    layers: list[Any] = [network.get_submodule(name) for name in FILTERS[group]]
    return [layer.weight.detach().double().flatten(1) for layer in layers]


def check(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert values.double().std() > 0
        torch.testing.assert_close(found[name], values.double(), rtol=1e-4, atol=1e-9)


def test_l2_is_the_squared_norm_of_all_coupled_filters_relative_to_their_mean(
    make_context: Any,
) -> None:
    network, expected = residual(), {}
    for group in FILTERS:
        squares = torch.stack([each.square().sum(1) for each in filters(network, group)]).sum(0)
        expected[group] = squares / squares.mean()
    check(scores(L2Filter(), network, make_context(network)), expected)


def test_lamp_is_the_part_of_what_is_not_smaller(make_context: Any) -> None:
    network, expected = residual(), {}
    for group in FILTERS:
        squares = torch.stack([each.square().sum(1) for each in filters(network, group)]).sum(0)
        larger = squares[None] >= squares[:, None]
        expected[group] = squares / (larger * squares[None]).sum(1)
        assert expected[group].max() == 1
    check(scores(LampFilter(), network, make_context(network)), expected)


def test_fpgm_sums_distances_within_each_layer(make_context: Any) -> None:
    network, expected = residual(), {}
    for group in FILTERS:
        total = torch.zeros(len(filters(network, group)[0]), dtype=torch.float64)
        for rows in filters(network, group):
            for k, row in enumerate(rows):
                total[k] += sum(float((row - other).norm()) for other in rows)
        expected[group] = total / total.mean()
    check(scores(Fpgm(), network, make_context(network)), expected)


def test_fpgm_tells_a_filter_from_its_negative(make_context: Any) -> None:
    network = residual()
    with torch.no_grad():  # two pairs of opposites on one axis, and the rest in their middle
        network.conv1.weight.mul_(0.01)
        network.conv1.weight[:2, 0] = 1
        network.conv1.weight[2:4, 0] = -1
    found = scores(Fpgm(), network, make_context(network))["conv1"]
    assert found[:4].min() > found[4:].max()


def test_taylor_is_the_squared_derivative_by_a_gate_of_each_mini_batch(make_context: Any) -> None:
    network = residual()
    context = make_context(network)
    total: dict[str, list[Tensor]] = {group: [] for group in FILTERS}
    for inputs, labels in context.batches(6, 2):
        gates = {
            name: torch.ones(count, requires_grad=True)
            for name, count in (("stem", 6), ("conv1", 8), ("hidden", 7))
        }
        F.cross_entropy(network(inputs, gates), labels).backward()  # type: ignore[no-untyped-call]
        for name, gate in gates.items():
            assert gate.grad is not None
            total[name].append(gate.grad.square())
    expected = {name: torch.stack(each).mean(0) for name, each in total.items()}
    check(scores(Taylor(images=6, batch_size=2), network, context), expected)


def test_behind_batch_norm_taylor_is_that_of_its_scale_and_shift(make_context: Any) -> None:
    network = residual()
    context = make_context(network)
    copied = copy.deepcopy(network)
    inputs, labels = next(context.batches(6, 6))
    F.cross_entropy(copied(inputs), labels).backward()  # type: ignore[no-untyped-call]
    scale, shift = copied.bn1.weight, copied.bn1.bias
    assert scale.grad is not None
    assert shift.grad is not None
    expected = (scale * scale.grad + shift * shift.grad).detach().square().double()
    found = scores(Taylor(images=6, batch_size=6), network, context)["conv1"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("kind", ["filters", "whole"])
def test_taylor_over_other_sets_of_weights(
    kind: Literal["filters", "whole"], make_context: Any
) -> None:
    network = residual()
    context = make_context(network)
    copied: Any = copy.deepcopy(network)
    norms = {"stem": ("bn0", "bn2"), "conv1": ("bn1",), "hidden": ()}
    total: dict[str, list[Tensor]] = {group: [] for group in FILTERS}
    for inputs, labels in context.batches(6, 3):
        copied.zero_grad()
        F.cross_entropy(copied(inputs), labels).backward()  # type: ignore[no-untyped-call]

        def product(name: str) -> Tensor:
            parameter = copied.get_parameter(name)
            found: Tensor = (parameter * parameter.grad).detach()
            return found

        for group, layers in FILTERS.items():
            change = torch.zeros(len(filters(network, group)[0]))
            for name in (*layers, *(norms[group] if kind == "whole" else ())):
                change += product(f"{name}.weight").view(len(change), -1).sum(1)
                if f"{name}.bias" in dict(copied.named_parameters()):
                    change += product(f"{name}.bias")
            for name in READERS[group] if kind == "whole" else ():
                read = product(f"{name}.weight").transpose(0, 1).reshape(len(change), -1)
                change += read.sum(1)
            total[group].append(change.square())
    expected = {name: torch.stack(each).mean(0) for name, each in total.items()}
    check(scores(Taylor(group=kind, images=6, batch_size=3), network, context), expected)


def test_hessian_adds_up_half_the_squared_products_of_single_images(make_context: Any) -> None:
    network = residual()
    context = make_context(network)
    copied: Any = copy.deepcopy(network)
    expected = {group: torch.zeros(len(filters(network, group)[0])) for group in FILTERS}
    inputs, labels = next(context.batches(6, 6))
    for k in range(6):
        copied.zero_grad()
        F.cross_entropy(copied(inputs[k : k + 1]), labels[k : k + 1]).backward()  # type: ignore[no-untyped-call]
        for group, layers in FILTERS.items():
            for name in layers:
                weight = copied.get_submodule(name).weight
                expected[group] += (weight * weight.grad).detach().square().flatten(1).sum(1) / 12
    check(scores(HessianFilter(images=6), network, context), expected)


class Grouped(nn.Module):
    """A convolution with groups and a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 24, 3, padding=1)
        self.grouped = nn.Conv2d(24, 36, 3, padding=1, groups=4)
        self.wide = nn.ConvTranspose2d(36, 18, 2, stride=2)
        self.fc = nn.Linear(18, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.grouped(self.first(images).relu()).relu()
        found: Tensor = self.fc(self.wide(maps).relu().mean((2, 3)))
        return found


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"network-slimming"}))
def test_grouped_and_transposed_convolutions(name: str, make_context: Any) -> None:
    torch.manual_seed(0)
    network = Grouped().eval()
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    method = METHODS[name](target="channels")
    context = prepared(method.prepare(), network, context)
    pruned = method.compress(copy.deepcopy(network), 0.3, context)
    assert params(pruned) < params(network)
    assert pruned(context.example).shape == (1, 5)


def test_sums_over_channels_of_grouped_and_transposed_kernels() -> None:
    torch.manual_seed(0)
    network = Grouped()
    values = {name: torch.randn_like(p) for name, p in network.named_parameters()}
    sums = sum_by_channel(network, values)
    kernel = values["grouped.weight"]  # 36×6×3×3: nine outputs and six inputs a group
    for channel in range(24):
        rows = slice(channel // 6 * 9, channel // 6 * 9 + 9)
        expected = kernel[rows, channel % 6].sum()
        assert torch.allclose(sums["in/grouped"][channel], expected, atol=1e-4)
    expected = kernel.sum((1, 2, 3)) + values["grouped.bias"]
    assert torch.allclose(sums["out/grouped"], expected, atol=1e-4)
    kernel = values["wide.weight"]  # 36×18×2×2: inputs first
    assert torch.allclose(sums["in/wide"], kernel.sum((1, 2, 3)), atol=1e-4)
    expected = kernel.sum((0, 2, 3)) + values["wide.bias"]
    assert torch.allclose(sums["out/wide"], expected, atol=1e-4)


def params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, example: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(example)
    return int(counter.get_total_flops()) // 2


def size(network: nn.Module, target: Target, context: Any, layers: set[str]) -> int:
    if target == "params":
        return params(network)
    if target == "macs":
        return macs(network, context.example)
    kept: list[Any] = [network.get_submodule(name) for name in layers]
    return sum(len(layer.weight) for layer in kept)


def check_levels(name: str, whole: nn.Module, context: Any) -> None:
    graph = trace(whole, context.example)
    channels = find_channels(
        whole, graph, lambda group: torch.zeros(len(group[0].idxs)), context.fixed_channels
    )
    layers = {channel.layer for channel in channels}
    context = prepared(METHODS[name]().prepare(), whole, context)
    for target in ("params", "channels", "macs"):
        method = METHODS[name](target=target)
        pruned = method.compress(copy.deepcopy(whole), 0.5, context)
        left = size(pruned, target, context, layers) / size(whole, target, context, layers)
        assert 1 - left == pytest.approx(0.5, abs=0.01), target
        assert pruned(context.example).shape == (1, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_levels_of_cifar_resnet(name: str, make_context: Any) -> None:
    torch.manual_seed(0)
    whole = CifarResNet(20, 10).eval()
    fixed = frozenset((*ResNet20().fixed_channels(), "linear"))
    check_levels(name, whole, make_context(whole, size=32, classes=10, fixed_channels=fixed))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_levels_of_mobilenet(name: str, make_context: Any) -> None:
    import torchvision

    torch.manual_seed(0)
    whole = torchvision.models.mobilenet_v2(num_classes=10).eval()
    fixed = frozenset({"classifier.1"})
    check_levels(name, whole, make_context(whole, size=64, classes=10, fixed_channels=fixed))


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_network_and_nothing_else_is_touched(name: str, make_context: Any) -> None:
    def compress() -> nn.Module:
        network = residual()
        state = torch.get_rng_state()
        method = METHODS[name](target="channels")
        context = prepared(method.prepare(), network, make_context(network))
        found: nn.Module = method.compress(network, 0.4, context)
        assert torch.equal(state, torch.get_rng_state())
        for key, value in residual().state_dict().items():
            assert torch.equal(value, context.baseline.state_dict()[key])
        assert all(parameter.grad is None for parameter in context.baseline.parameters())
        return found

    one, other = compress(), compress()
    assert one.state_dict().keys() == other.state_dict().keys()
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


@pytest.mark.parametrize("method", [Taylor(images=6), HessianFilter(images=6), Fpgm(), L2Filter()])
def test_importance_leaves_the_network_as_it_is(method: Any, make_context: Any) -> None:
    network = residual()
    network.requires_grad_(False)  # frozen weights have an importance all the same
    found = scores(method, network, make_context(network))
    assert all((values > 0).any() for values in found.values())
    for key, value in residual().state_dict().items():
        assert torch.equal(value, network.state_dict()[key])
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())


def test_images_and_scope_decide_what_is_prepared_and_what_is_shared() -> None:
    (one,), (other,) = Taylor().prepare(), Taylor(scope="layerwise", group="whole").prepare()
    assert one == other
    assert Taylor(images=8).prepare() != Taylor().prepare()
    assert HessianFilter(images=8).prepare() != HessianFilter().prepare()


def cifar(folder: Path, split: str, count: int) -> tuple[Tensor, Tensor]:
    import numpy as np
    from PIL import Image
    from pyarrow.parquet import ParquetFile

    rows = next(ParquetFile(folder / f"{split}.parquet").iter_batches(batch_size=count)).to_pylist()
    images = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    normalise = ResNet20().normalisation()
    return normalise(pixels), torch.tensor([row["label"] for row in rows])


@pytest.mark.sweep
def test_rankings_beat_random_filters_on_a_trained_network(
    make_context: Any,
    shared_data: Callable[[str], Path],
    shared_weights: Callable[[str], Path],
) -> None:
    whole = CifarResNet(20, 10)
    load_weights(whole, read_weights(shared_weights("resnet20-12fca82f.th")), "")
    images, labels = cifar(shared_data("cifar10-jpeg"), "test", 500)
    calibration = cifar(shared_data("cifar10-jpeg"), "train", 256)

    def batches(count: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = (part[:count] for part in calibration)
        for start in range(0, len(inputs), batch_size):
            where = slice(start, start + batch_size)
            yield inputs[where], targets[where]

    def accuracy(method: Any, seed: int = 0) -> float:
        fixed = frozenset((*ResNet20().fixed_channels(), "linear"))
        context = make_context(whole, size=32, seed=seed, classes=10, fixed_channels=fixed)
        context = prepared(method.prepare(), whole, replace(context, batches=batches))
        pruned = method.compress(copy.deepcopy(whole), 0.3, context)
        with torch.no_grad():
            return float((pruned(images).argmax(1) == labels).double().mean())

    by_chance = sum(accuracy(RandomFilter(), seed) for seed in range(4)) / 4
    for method in (L2Filter(), LampFilter(), Fpgm(), Taylor(), HessianFilter()):
        assert accuracy(method) > by_chance + 0.05, method
