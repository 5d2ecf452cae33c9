from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from prunebench.errors import RequestError
from prunebench.plugins.objective import Objective
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.magnitude import L2Filter
from prunebench.pruners.filters.soft_filter import SoftFilter

TRAINING = Recipe(epochs=4, lr=0.05, batch_size=10, keep="last")
LAYERS = (0, 3, 7)


def zeroed(network: Any) -> list[list[int]]:
    """Of each layer, the filters whose weights and bias are all zero."""
    found = []
    for place in LAYERS:
        weight, bias = network[place].weight, network[place].bias
        silent = ~weight.flatten(1).any(1) & (~bias.bool() if bias is not None else True)
        found.append(silent.nonzero()[:, 0].tolist())
    return found


def smallest(network: Any, counts: tuple[int, ...]) -> list[list[int]]:
    return [
        sorted(network[place].weight.flatten(1).norm(dim=1).argsort()[:count].tolist())
        for place, count in zip(LAYERS, counts, strict=True)
    ]


class Spy:
    """Trains, and looks at the network before and after each epoch's end and at each step."""

    def __init__(self, context: Any) -> None:
        self._train = context.train
        self.before: list[Any] = []
        self.after: list[Any] = []
        self.steps: list[list[list[int]]] = []

    def __call__(self, module: nn.Module, recipe: Recipe, objective: Objective) -> None:
        def on_epoch(network: nn.Module, passed: float) -> None:
            self.before.append(copy.deepcopy(network))
            objective.on_epoch(network, passed)
            self.after.append(copy.deepcopy(network))

        def on_weights(network: nn.Module, passed: float) -> None:
            self.steps.append(zeroed(network))

        self._train(module, recipe, Objective(on_epoch=on_epoch, on_weights=on_weights))


def spied(tiny: Any, make_context: Any, **how: Any) -> tuple[Any, Spy, Any]:
    context = make_context(tiny())
    spy = Spy(context)
    context = replace(context, train=spy)
    method = SoftFilter(training=TRAINING, target="channels", **how)
    return method.compress(tiny(), 0.25, context), spy, context


def test_the_smallest_of_each_layer_are_zeroed_after_each_epoch(
    tiny: Any, make_context: Any
) -> None:
    pruned, spy, _ = spied(tiny, make_context)
    assert len(spy.after) == 4
    for before, after in zip(spy.before, spy.after, strict=True):
        assert zeroed(after) == smallest(before, (3, 5, 4))
        assert not after[1].weight[zeroed(after)[0]].any()
        assert not after[1].bias[zeroed(after)[0]].any()
        for place in LAYERS:  # the others are left as they are
            kept = after[place].weight.flatten(1).any(1)
            assert torch.equal(after[place].weight[kept], before[place].weight[kept])
    assert [pruned[place].weight.shape[0] for place in LAYERS] == [9, 15, 12]


def test_a_zeroed_channel_is_silent(tiny: Any, make_context: Any) -> None:
    _, spy, context = spied(tiny, make_context)
    after = spy.after[0].eval()
    maps = after[:3](context.example)
    assert not maps[:, zeroed(after)[0]].any()
    assert maps.any()


def test_zeroed_filters_are_trained_on(tiny: Any, make_context: Any) -> None:
    _, spy, _ = spied(tiny, make_context)
    assert any(zeroed(spy.after[0]))
    # Four steps an epoch: the first one of the second epoch moves the convolutions' filters.
    assert not any(spy.steps[4][:2])
    assert not any(zeroed(spy.before[1])[:2])


def test_a_filter_that_grows_back_is_not_removed(tiny: Any, make_context: Any) -> None:
    context = make_context(tiny())
    first: list[list[int]] = []

    def train(module: Any, recipe: Recipe, objective: Objective) -> None:
        objective.on_epoch(module, 0.5)
        first.extend(zeroed(module))
        with torch.no_grad():  # as if training had done so
            module[3].weight[first[1][0]] = 1
        objective.on_epoch(module, 1.0)

    method = SoftFilter(training=TRAINING, target="channels")
    pruned: Any = method.compress(tiny(), 0.25, replace(context, train=train))
    assert (pruned[3].weight == 1).flatten(1).all(1).sum() == 1
    assert pruned[3].out_channels == 15


def test_what_is_removed_at_the_end_was_silent(tiny: Any, make_context: Any) -> None:
    pruned, spy, context = spied(tiny, make_context)
    last = spy.after[-1].eval()
    assert torch.allclose(pruned(context.example), last(context.example), atol=1e-5)
    rows = [k for k in range(12) if k not in zeroed(last)[0]]
    assert torch.equal(pruned[0].weight, last[0].weight[rows])


def test_without_training_it_is_the_l2_filter(tiny: Any, make_context: Any) -> None:
    soft = SoftFilter(training=Recipe(epochs=0)).compress(tiny(), 0.4, make_context(tiny()))
    hard = L2Filter(scope="layerwise").compress(tiny(), 0.4, make_context(tiny()))
    for name, tensor in soft.state_dict().items():
        assert torch.equal(tensor, hard.state_dict()[name])


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("target", ["params", "channels", "macs"])
def test_level_is_reached_after_training(
    scope: Any, target: Any, tiny: Any, make_context: Any
) -> None:
    method = SoftFilter(training=TRAINING, scope=scope, target=target)
    hard = L2Filter(scope=scope, target=target)
    context = make_context(tiny())
    soft = method.compress(tiny(), 0.4, context)
    assert soft(context.example).shape == (1, 5)
    if scope == "layerwise":  # the same sizes, whatever training made of the ranking
        same = hard.compress(tiny(), 0.4, context)
        assert [p.shape for p in soft.parameters()] == [p.shape for p in same.parameters()]


def test_same_seed_same_network(tiny: Any, make_context: Any) -> None:
    one, other = (
        SoftFilter(training=TRAINING).compress(tiny(), 0.4, make_context(tiny())) for _ in range(2)
    )
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_level_out_of_reach_is_refused_before_any_training(tiny: Any, make_context: Any) -> None:
    def train(*_: object) -> None:
        raise AssertionError("trained in vain")

    with pytest.raises(RequestError, match=r"would be left without channels; at most"):
        SoftFilter(target="channels").compress(tiny(), 0.999, make_context(tiny(), train=train))
