from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.errors import RequestError
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins import choose
from prunebench.plugins.preparing import prepared
from prunebench.pruners.distribution import order_removals
from prunebench.pruners.filters.magnitude import L1Filter
from prunebench.pruners.weights.magnitude import L1Unstructured

SHAPES: dict[str, tuple[int, ...]] = {"wide": (64, 32, 3, 3), "narrow": (8, 4, 3, 3), "fc": (10, 8)}
SCOPES = ("global", "layerwise", "erk", "sensitivity")


def noise(seed: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=draw) for name, shape in SHAPES.items()}


def removed(order: dict[str, Tensor], level: float) -> dict[str, float]:
    """The fraction of each layer among the first of the order."""
    places = torch.cat([each.flatten().double() for each in order.values()])
    edge = places.sort().values[round(level * len(places)) - 1]
    return {name: float((each <= edge).double().mean()) for name, each in order.items()}


@given(seed=st.integers(0, 99), scope=st.sampled_from(SCOPES))
@settings(max_examples=30, deadline=None)
def test_within_a_layer_the_lowest_scores_go_first(seed: int, scope: Any) -> None:
    scores = noise(seed)
    damage = {name: torch.tensor([0.0, 0.3, 0.2, 0.2]) for name in scores}
    order = order_removals(scores, scope, shapes=SHAPES, damage=damage)
    for name, each in scores.items():
        places = (order[name].flatten(), each.flatten())
        assert torch.equal(*(place.argsort(stable=True) for place in places))


def test_layerwise_takes_the_same_of_every_layer() -> None:
    taken = removed(order_removals(noise(0), "layerwise", shapes=SHAPES), 0.3)
    assert all(abs(fraction - 0.3) < 0.01 for fraction in taken.values())


@pytest.mark.parametrize("level", [0.3, 0.8, 0.95])
def test_densities_are_those_of_erdos_renyi_kernel(level: float) -> None:
    """Against densities found by bisecting for ε, as the definition says."""
    sizes = {name: math.prod(shape) for name, shape in SHAPES.items()}
    kept = (1 - level) * sum(sizes.values())

    def densities(epsilon: float) -> dict[str, float]:
        return {n: min(1.0, epsilon * sum(s) / math.prod(s)) for n, s in SHAPES.items()}

    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        total = sum(density * sizes[n] for n, density in densities(middle).items())
        low, high = (middle, high) if total < kept else (low, middle)
    taken = removed(order_removals(noise(1), "erk", shapes=SHAPES), level)
    for name, density in densities(low).items():
        assert 1 - taken[name] == pytest.approx(density, abs=0.02)


def test_rates_keep_their_proportions() -> None:
    rates = {"wide": 0.2, "narrow": 0.4}
    taken = removed(order_removals(noise(2), "global", shapes=SHAPES, rates=rates), 0.1)
    assert taken["narrow"] == pytest.approx(2 * taken["wide"], abs=0.01)
    assert taken["fc"] == 0


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"wid": 0.5}, "'rates' names 'wid', where nothing can be removed; did you mean 'wide'"),
        ({"wide": 1.5}, "'rates' gives layer 'wide' the rate 1.5, expected 0 to 1"),
    ],
)
def test_wrong_rates_are_refused(rates: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        order_removals(noise(0), "global", shapes=SHAPES, rates=rates)


def test_an_insensitive_layer_goes_first() -> None:
    damage = {name: torch.tensor([0.0, 1.0, 2.0, 4.0]) for name in SHAPES}
    damage["narrow"] = torch.tensor([0.0, 0.0, 0.01, 0.02])
    taken = removed(order_removals(noise(3), "sensitivity", shapes=SHAPES, damage=damage), 0.2)
    assert taken["narrow"] > 0.9
    assert 0.1 < taken["wide"] < 0.3


def test_measured_sensitivity_is_the_rise_of_the_loss(tiny: Any, make_context: Any) -> None:
    network = tiny()
    pruner = L1Unstructured(scope="sensitivity")
    context = make_context(network)
    found = prepared(pruner.prepare(), network, context).prepared["sensitivity"]
    inputs, labels = next(context.batches(6, 6))

    def loss(module: nn.Module) -> float:
        with torch.no_grad():
            return float(F.cross_entropy(module(inputs), labels))

    for name in find_prunable_layers(network):
        damaged = copy.deepcopy(network)
        weight: Any = damaged.get_submodule(name).weight
        with torch.no_grad():
            edge = weight.abs().flatten().sort().values[round(weight.numel() * 3 / 8)]
            weight[weight.abs() < edge] = 0
        assert float(found[name][3]) == pytest.approx(loss(damaged) - loss(network), abs=1e-5)
        assert len(found[name]) == 8


def test_sensitivity_of_filters_silences_what_hangs_on_them(tiny: Any, make_context: Any) -> None:
    network, context = tiny(), make_context(tiny())
    network[1].bias.data += 1  # a filter set to zero alone would still give its channel's bias
    context = make_context(network)
    pruner = L1Filter(scope="sensitivity")
    found = prepared(pruner.prepare(), network, context).prepared["sensitivity"]
    lowest = network[0].weight.detach().abs().sum((1, 2, 3)).argsort()[:6]
    kept = [k for k in range(12) if k not in lowest.tolist()]
    smaller = copy.deepcopy(network)
    for name in ("weight", "bias"):
        setattr(smaller[0], name, nn.Parameter(getattr(smaller[0], name)[kept]))
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(smaller[1], name)[kept]
        setattr(smaller[1], name, nn.Parameter(value) if "running" not in name else value)
    smaller[3].weight = nn.Parameter(smaller[3].weight[:, kept])
    inputs, labels = next(context.batches(6, 6))
    with torch.no_grad():
        rise = F.cross_entropy(smaller(inputs), labels) - F.cross_entropy(network(inputs), labels)
    assert float(found["0"][4]) == pytest.approx(float(rise), abs=1e-5)


@pytest.mark.parametrize("name", ["l1-unstructured", "l1-filter"])
@pytest.mark.parametrize("scope", SCOPES)
def test_levels_are_reached_under_every_scope(
    name: str, scope: str, tiny: Any, make_context: Any
) -> None:
    network = tiny()
    pruner: Any = choose("pruners", name, {"scope": scope}).plugin
    context = prepared(pruner.prepare(), network, make_context(network))
    pruned = pruner.compress(copy.deepcopy(network), 0.5, context)
    if name == "l1-filter":
        sizes = [sum(p.numel() for p in each.parameters()) for each in (pruned, network)]
    else:
        sizes = [
            sum(int(layer.weight.count_nonzero()) for layer in find_prunable_layers(each).values())
            for each in (pruned, network)
        ]
    assert 1 - sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.03)


def test_methods_that_rank_alike_share_their_sensitivity() -> None:
    def measured(**parameters: Any) -> Any:
        pruner: Any = choose("pruners", "l1-filter", parameters).plugin
        return pruner.prepare()[0].changed_parameters()

    by_params = measured(scope="sensitivity")
    assert by_params == measured(scope="sensitivity", target="macs")
    random: Any = choose("pruners", "random-filter", {"scope": "sensitivity"}).plugin
    assert by_params != random.prepare()[0].changed_parameters()


@pytest.mark.parametrize("level", [0.6, 0.7])
def test_layer_collapse_is_refused_by_its_name(level: float, tiny: Any, make_context: Any) -> None:
    network = tiny()
    with torch.no_grad():
        network[7].weight.mul_(1e-4)
    with pytest.raises(RequestError, match=r"leave none in layer '7' \(layer collapse\)"):
        L1Unstructured().compress(network, level, make_context(network))


@pytest.mark.parametrize("rates", [{"0": 0.5}, {"0": 0.5, "3": 0.0}])
def test_layers_without_a_rate_stay_whole(rates: Any, tiny: Any, make_context: Any) -> None:
    network = tiny()
    pruned: Any = L1Filter(target="channels", rates=rates).compress(
        network, 8 / 48, make_context(tiny())
    )
    assert (pruned[0].out_channels, pruned[3].out_channels) == (4, 20)
    masked: Any = L1Unstructured(rates=rates).compress(tiny(), 0.03, make_context(tiny()))
    assert all(bool(masked[place].weight.all()) for place in (3, 7, 9))
    assert not masked[0].weight.all()


@pytest.mark.parametrize("method", [L1Filter(rates={"0": 0.5}), L1Unstructured(rates={"0": 0.5})])
def test_more_than_the_rated_layers_hold_is_refused(
    method: Any, tiny: Any, make_context: Any
) -> None:
    with pytest.raises(RequestError, match=r"cannot remove 90\.0% of the (params|weights)"):
        method.compress(tiny(), 0.9, make_context(tiny()))


def test_what_two_preparations_need_is_computed_once(tiny: Any, make_context: Any) -> None:
    trained = 0

    def train(*args: Any, **kwargs: Any) -> None:
        nonlocal trained
        trained += 1

    pruner: Any = choose("pruners", "network-slimming", {"scope": "sensitivity"}).plugin
    prepared(pruner.prepare(), tiny(), make_context(tiny(), train=train))
    assert trained == 1
