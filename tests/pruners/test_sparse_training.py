from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split
from prunebench.errors import RequestError
from prunebench.models.networks.sp2ps import Sp2psNetwork
from prunebench.networks.training import train
from prunebench.plugins.preparing import prepared
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.group_norm import GroupNorm, ShrunkGroups
from prunebench.pruners.filters.group_penalty import GroupPenalty
from prunebench.pruners.filters.network_slimming import NetworkSlimming, SlimmedWeights

SHORT = Recipe(epochs=3, lr=0.05, batch_size=10, keep="last")
METHODS = [
    NetworkSlimming(training=SHORT, penalty=0.02),
    GroupNorm(training=SHORT),
    GroupNorm(training=SHORT, regularisation="growing"),
]


class Coupled(nn.Module):
    """Two convolutions whose channels are added, one that reads the sum, a linear layer."""

    def __init__(self, groups: int = 1, affine: bool = True) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.bn = nn.BatchNorm2d(8, affine=affine)
        self.reader = nn.Conv2d(8, 12, 3, groups=groups)
        self.bn2 = nn.BatchNorm2d(12, affine=affine)
        self.fc = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.bn(self.left(images)) + self.right(images)
        found: Tensor = self.fc(self.bn2(self.reader(maps.relu())).relu().mean((2, 3)))
        return found


def coupled(**how: Any) -> Coupled:
    torch.manual_seed(2)
    network = Coupled(**how).eval()
    for layer in (network.bn, network.bn2):
        if layer.affine:
            nn.init.uniform_(layer.weight, 0.3, 1.5)
    return network


def trained(preparation: Any, make_context: Any, network: nn.Module | None = None) -> Any:
    network = network or coupled()
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    return preparation.compute(copy.deepcopy(network), context)


def test_slimming_drives_scales_down(make_context: Any) -> None:
    free = trained(SlimmedWeights(training=SHORT, penalty=0.0), make_context)
    slim = trained(SlimmedWeights(training=SHORT, penalty=0.2), make_context)
    for name in ("bn.weight", "bn2.weight"):
        assert slim[name].abs().sum() < 0.8 * free[name].abs().sum()
    assert not torch.equal(free["left.weight"], coupled().left.weight)


def test_slimming_adds_the_sign_of_each_scale(make_context: Any) -> None:
    network = coupled()
    with torch.no_grad():
        network.bn.weight[:3] *= -1
        network.bn.weight[3] = 0
    objective = SlimmedWeights(training=SHORT, penalty=0.25).objective(
        network, make_context(network)
    )
    network(torch.randn(4, 3, 8, 8)).sum().backward()
    before = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    objective.on_gradients(network, 0.5)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        change = parameter.grad - before[name]
        is_scale = name in ("bn.weight", "bn2.weight")
        expected = parameter.sign().mul(0.25 if is_scale else 0)
        assert torch.allclose(change, expected, atol=1e-6), name


def test_slimming_ranks_scales_of_all_layers_as_they_are(make_context: Any) -> None:
    network = coupled()
    with torch.no_grad():  # far smaller in the second layer: all but two of its filters go first
        network.bn2.weight.mul_(0.01)
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    context = replace(context, prepared={"sparse-weights": state})
    method = NetworkSlimming(target="channels")
    pruned: Any = method.compress(coupled(), 0.5, context)
    kept = network.bn2.weight.detach().abs().argsort(descending=True)[:2].sort().values
    assert torch.equal(pruned.bn2.weight, network.bn2.weight[kept])
    assert torch.equal(pruned.reader.weight, network.reader.weight[kept])
    assert pruned.left.out_channels == 8


@pytest.mark.parametrize("method", METHODS)
def test_compression_starts_from_the_trained_weights(method: Any, make_context: Any) -> None:
    network = coupled()
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    context = prepared(method.prepare(), network, context)
    state = context.prepared["sparse-weights"]
    whole = method.compress(coupled(), 0.0, context)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert not torch.equal(whole.left.weight, network.left.weight)
    pruned = method.compress(coupled(), 0.4, context)
    kept = {tuple(row.tolist()) for row in pruned.left.weight.flatten(1)}
    assert kept < {tuple(row.tolist()) for row in state["left.weight"].flatten(1)}


@pytest.mark.parametrize("method", METHODS)
def test_training_is_the_same_each_time_and_leaves_the_baseline_alone(
    method: Any, make_context: Any
) -> None:
    def compress() -> Any:
        network = coupled()
        state = torch.get_rng_state()
        context = make_context(network, fixed_channels=frozenset({"fc"}))
        context = prepared(method.prepare(), network, context)
        found = method.compress(copy.deepcopy(network), 0.4, context)
        assert torch.equal(state, torch.get_rng_state())
        module: Any
        for module in (network, context.baseline):
            assert torch.equal(module.left.weight, coupled().left.weight)
        return found

    one, other = compress().state_dict(), compress().state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_slimming_needs_scales(make_context: Any) -> None:
    network = Sp2psNetwork(((8, 8), (8,)), 5, (16, 16)).eval()
    context = make_context(network, size=16)
    for attempt in (
        lambda: NetworkSlimming().check(network, context),
        lambda: NetworkSlimming().compress(network, 0.3, context),
        lambda: NetworkSlimming().prepare()[0].compute(network, context),
    ):
        with pytest.raises(RequestError, match="scales of BatchNorm layers, and Sp2psNetwork has"):
            attempt()
    NetworkSlimming().check(coupled(), context)


def test_filters_without_batch_norm_stay(tiny: Any, make_context: Any) -> None:
    method = NetworkSlimming(training=Recipe(epochs=0), target="channels")
    context = prepared(method.prepare(), tiny(), make_context(tiny()))
    pruned: Any = method.compress(tiny(), 0.5, context)
    assert [pruned[0].out_channels, pruned[3].out_channels, pruned[7].out_features] == [6, 20, 16]


def norms(network: Any) -> tuple[Tensor, Tensor]:
    """Of the two groups of the coupled network, the norm of all weights of each channel."""
    parts = [
        [network.left.weight, network.right.weight, network.bn.weight],
        [network.reader.weight, network.bn2.weight],
    ]
    readers = [network.reader.weight, network.fc.weight]
    found = []
    for own, reader in zip(parts, readers, strict=True):
        squares = sum(part.square().reshape(len(own[0]), -1).sum(1) for part in own)
        found.append((squares + reader.square().transpose(0, 1).flatten(1).sum(1)).sqrt())
    return found[0], found[1]


@pytest.mark.parametrize("kind", ["group-norm", "growing"])
def test_group_penalty_is_the_gradient_of_weighted_squared_norms(
    kind: Any, make_context: Any
) -> None:
    network = coupled()
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    preparation = ShrunkGroups(training=SHORT, kind=kind, penalty=0.3, growth=2.0)
    objective = preparation.objective(network, context)
    copied = copy.deepcopy(network)
    penalty = torch.zeros(())
    for each in norms(copied):
        fixed = each.detach()
        smallness = (fixed.max() - fixed) / (fixed.max() - fixed.min())
        strength = 0.3 + 2 * 0.25 * smallness if kind == "growing" else 0.3 * 16**smallness
        penalty = penalty + (strength * each.square()).sum() / 2
    penalty.backward()  # type: ignore[no-untyped-call]
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    objective.on_gradients(network, 0.25)
    for name, parameter in network.named_parameters():
        expected = copied.get_parameter(name).grad
        assert parameter.grad is not None
        if expected is None:
            assert name.endswith("bias")
            assert not parameter.grad.any()
        else:
            assert torch.allclose(parameter.grad, expected, atol=1e-5), name


@pytest.mark.parametrize("kind", ["group-norm", "growing"])
def test_regularisation_pulls_weak_groups_down(kind: Any, make_context: Any) -> None:
    def weakest(penalty: float, growth: float) -> float:
        preparation = ShrunkGroups(training=SHORT, kind=kind, penalty=penalty, growth=growth)
        network = coupled()
        network.load_state_dict(trained(preparation, make_context))
        return min((each / each.max()).min().item() for each in norms(network))

    strong = (0.05, 0.0) if kind == "group-norm" else (0.05, 2.0)
    assert weakest(*strong) < 0.9 * weakest(0.0, 0.0)


@pytest.mark.parametrize("how", [{"groups": 4}, {"affine": False}])
def test_groups_and_batch_norm_without_scales_can_be_regularised(
    how: Any, make_context: Any
) -> None:
    network = coupled(**how)
    method = GroupNorm(training=SHORT, target="channels")
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    context = prepared(method.prepare(), network, context)
    assert all(tensor.isfinite().all() for tensor in context.prepared["sparse-weights"].values())
    pruned: Any = method.compress(copy.deepcopy(network), 0.4, context)
    assert pruned.left.out_channels < 8 or pruned.reader.out_channels < 12


def test_equal_channels_are_penalised_equally(make_context: Any) -> None:
    network = coupled()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    penalty = GroupPenalty(network, make_context(network, fixed_channels=frozenset({"fc"})))
    penalty.add(lambda smallness: 0.5 * 2 ** (4 * smallness))
    assert network.left.weight.grad is not None
    assert torch.equal(network.left.weight.grad, torch.full_like(network.left.weight, 0.5))


def test_channels_that_stay_are_not_penalised(make_context: Any) -> None:
    network = coupled()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    penalty = GroupPenalty(network, make_context(network, fixed_channels=frozenset({"fc"})))
    penalty.add(torch.ones_like)
    assert network.fc.bias.grad is not None
    assert not network.fc.bias.grad.any()
    fixed = make_context(network, fixed_channels=frozenset({"left", "right", "reader", "fc"}))
    network.zero_grad()
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    GroupPenalty(network, fixed).add(torch.ones_like)
    assert not any(p.grad is not None and p.grad.any() for p in network.parameters())


def test_group_norm_ranks_whole_groups(make_context: Any) -> None:
    network = coupled()
    with torch.no_grad():  # the sixth filter is large, but hardly anything reads it
        network.left.weight[5] *= 2
        network.reader.weight[:, 5] = 0
        network.left.weight[5:6] *= 0.5
    method = GroupNorm(regularisation="none", target="channels")
    context = make_context(network, fixed_channels=frozenset({"fc", "reader"}))
    smallest = int(norms(network)[0].argmin())
    pruned: Any = method.compress(copy.deepcopy(network), 1 / 8, context)
    kept = [k for k in range(8) if k != smallest]
    assert torch.equal(pruned.left.weight, network.left.weight[kept])
    assert method.prepare() == ()


@pytest.mark.parametrize("method", METHODS)
def test_killed_training_ends_as_an_undisturbed_one(method: Any, make_context: Any) -> None:
    class Killed(Exception):
        pass

    class Scratch:
        state: dict[str, Tensor] | None = None

        def save(self, state: Any) -> None:
            self.state = {name: tensor.clone() for name, tensor in state.items()}

        def load(self) -> Any:
            return self.state

    pixels = torch.randint(256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    split = Split(pixels, torch.arange(40) % 5)
    data = Data(split, split, split, tuple("abcde"), Normalisation((0.5,) * 3, (0.5,) * 3))

    def compute(scratch: Scratch, dies_after: float = math.inf) -> dict[str, Tensor]:
        def train_here(module: nn.Module, recipe: Recipe, objective: Any) -> None:
            def die(fraction: float, text: str) -> None:
                if fraction > dies_after:
                    raise Killed

            device = torch.device("cpu")
            train(
                *(module, data, data.normalisation, recipe, 0, device),
                objective=objective,
                checkpoint=scratch,
                progress=die,
            )

        context = make_context(coupled(), fixed_channels=frozenset({"fc"}), train=train_here)
        found: dict[str, Tensor] = method.prepare()[0].compute(coupled(), context)
        return found

    scratch = Scratch()
    with pytest.raises(Killed):
        compute(scratch, dies_after=0.5)
    assert scratch.state is not None
    resumed, undisturbed = compute(scratch), compute(Scratch())
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in undisturbed.items())


@pytest.mark.slow
def test_sensitivity_is_that_of_the_trained_network(make_context: Any) -> None:
    network = coupled()
    context = make_context(network, fixed_channels=frozenset({"fc"}))
    method = NetworkSlimming(training=SHORT, penalty=0.02, scope="sensitivity")
    _, sensitivity = method.prepare()
    other: Any = coupled()
    torch.manual_seed(9)
    for layer in (other.left, other.right, other.reader):
        layer.reset_parameters()
    state = {"sparse-weights": other.state_dict()}
    found = sensitivity.compute(network, replace(context, prepared=state))
    expected = sensitivity.compute(other, context)
    assert found.keys() == expected.keys()
    for name, rises in expected.items():
        assert torch.equal(found[name], rises)
    context = prepared(method.prepare(), coupled(), context)
    assert method.compress(coupled(), 0.3, context)(context.example).shape == (1, 5)


def test_levels_share_one_training() -> None:
    for method in (NetworkSlimming, GroupNorm):
        assert method().prepare() == method(scope="layerwise", target="macs").prepare()
        longer = method(training=Recipe(epochs=30))
        assert (
            longer.prepare()[0].changed_parameters() != method().prepare()[0].changed_parameters()
        )
    assert GroupNorm(growth=1.0).prepare() == GroupNorm().prepare()
    assert NetworkSlimming(penalty=1e-3).prepare() != NetworkSlimming().prepare()


def test_what_a_suite_leaves_out_of_a_training_keeps_its_default() -> None:
    given: dict[str, Any] = {"training": {"epochs": 3}}
    training = NetworkSlimming(**given).training
    assert training == NetworkSlimming().training.model_copy(update={"epochs": 3})
    assert training.keep == "last"
    assert NetworkSlimming(**given).changed_parameters() == given
    assert NetworkSlimming(training=NetworkSlimming().training).changed_parameters() == {}
    assert NetworkSlimming(training=Recipe(epochs=3)).training.keep == "best"
    with pytest.raises(ValidationError, match="epoch"):
        NetworkSlimming(training={"epoch": 3})
    teacher: dict[str, Any] = {"training": {"distillation": {}}}
    with pytest.raises(ValidationError, match="no teacher"):
        GroupNorm(**teacher)
