from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from prunebench import RequestError
from prunebench.data import Data, Normalisation, Split
from prunebench.execution.stages.context import make_context
from prunebench.networks import Architecture, Network
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins import choose
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.gradual import Gradual
from prunebench.pruners.weights.magnitude import L1Unstructured

TRAINING = {"epochs": 4, "lr": 0.05, "weight_decay": 0.01, "batch_size": 8}


def sparsity(network: nn.Module) -> float:
    weights = [layer.weight.detach() for layer in find_prunable_layers(network).values()]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def data(count: int = 24) -> Data:
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (count, 1, 8, 8), generator=draw, dtype=torch.uint8)
    split = Split(pixels, torch.arange(count) % 4)
    return Data(split, split, split, tuple("abcd"), Normalisation((0.5,), (0.5,)))


def small() -> Network:
    architecture = Architecture(
        factory="digits-cnn", classes=4, channels=1, size=(8, 8), mean=(0.5,), std=(0.5,)
    )
    torch.manual_seed(0)
    return Network(architecture.build().eval(), architecture)


class Scratch:
    """A checkpoint that stops the training once it holds this many epochs."""

    def __init__(self, stop: int | None = None) -> None:
        self.state: dict[str, Tensor] | None = None
        self.stop = stop

    def save(self, state: Mapping[str, Tensor]) -> None:
        self.state = {k: v.clone() for k, v in state.items()}
        if len(state["curve"]) == self.stop:
            raise KeyboardInterrupt

    def load(self) -> dict[str, Tensor] | None:
        return self.state


def compress(pruner: Gradual, level: float, **others: Any) -> nn.Module:
    network = small()
    found: Any = pruner.compress(
        network.copy().module, level, make_context(network, network, data(), 7, **others)
    )
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"begin": 0.3, "end": 1.0, "every": 0.01},
        {"every": 100.0},
        {"pruner": {"l1-unstructured": {"scope": "layerwise"}}},
        {"training": TRAINING | {"batch_size": 23}, "end": 1.0},  # the last batch is left out
        {"training": TRAINING | {"optimizer": "adam", "lr": 1e-3}},
        {"training": TRAINING | {"distillation": {}}},
    ],
)
def test_the_level_is_reached_and_kept(parameters: dict[str, Any]) -> None:
    found = compress(Gradual(**{"training": TRAINING} | parameters), 0.8)
    masks = make_masks_permanent(found)
    assert set(masks) == {f"{name}.weight" for name in find_prunable_layers(found)}
    assert sparsity(found) == pytest.approx(0.8, abs=1e-3)


def test_sparsity_rises_as_the_paper_s_equation_says() -> None:
    pruner = Gradual(training={"epochs": 10}, begin=0.2, end=0.7, every=0.5)
    assert pruner.schedule().steps == 10  # 5 epochs, two steps each
    for passed in (0.0, 0.1, 0.2, 0.26, 0.449999, 0.45, 0.7, 0.9, 1.0):
        t = min(max(math.floor((passed - 0.2) / 0.05 + 1e-6), 0), 10) / 10
        assert pruner.schedule().sparsity(passed, 0.9) == pytest.approx(
            0.9 + (0 - 0.9) * (1 - t) ** 3
        )
    rising = [pruner.schedule().sparsity(p / 1000, 0.9) for p in range(1001)]
    assert rising == sorted(rising)
    assert len(set(rising)) == 11


def test_sparsity_follows_the_schedule_while_training() -> None:
    pruner = Gradual(training=TRAINING, begin=0.25, end=0.75, every=0.5)
    seen: list[tuple[float, float]] = []

    def watch(
        module: nn.Module,
        recipe: Recipe,
        objective: Objective = CROSS_ENTROPY,
        normalise: Normalisation | None = None,
    ) -> None:
        for step in range(40):
            objective.on_gradients(module, step / 40)
            with torch.no_grad():  # as momentum and decay would
                for layer in find_prunable_layers(module).values():
                    layer.weight.add_(0.01 * torch.randn_like(layer.weight))
            objective.on_weights(module, (step + 1) / 40)
            seen.append(((step + 1) / 40, sparsity(module)))

    network = small()
    context = make_context(network, network, data(), 7)
    pruner.compress(network.copy().module, 0.9, replace(context, train=watch))
    for passed, found in seen:
        assert found == pytest.approx(pruner.schedule().sparsity(passed, 0.9), abs=1e-3)
    assert seen[-1][1] > seen[15][1] > 0 == seen[8][1]


def test_one_step_takes_the_smallest_and_the_rest_goes_on_training() -> None:
    found = compress(Gradual(training=TRAINING | {"epochs": 1}, every=100.0, end=0.01), 0.5)
    make_masks_permanent(found)
    plain = small()
    moved = [
        (layer.weight[layer.weight != 0] != before.weight[layer.weight != 0]).float().mean()
        for layer, before in zip(
            find_prunable_layers(found).values(),
            find_prunable_layers(plain.module).values(),
            strict=True,
        )
    ]
    assert min(moved) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pruner", "stop"), [("l1-unstructured", 1), ("l1-unstructured", 3), ("random-unstructured", 2)]
)
def test_an_interrupted_training_ends_the_same(pruner: str, stop: int) -> None:
    method = Gradual(pruner=pruner, training=TRAINING, every=0.3, end=0.9)
    whole = compress(method, 0.7)
    scratch = Scratch(stop)
    with pytest.raises(KeyboardInterrupt):
        compress(method, 0.7, checkpoint=scratch)
    scratch.stop = None
    again = compress(method, 0.7, checkpoint=scratch)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


class Counting(L1Unstructured):
    calls: ClassVar[list[float]] = []

    def scores(self, network: nn.Module, context: Any) -> dict[str, Tensor]:
        assert not network.training
        self.calls.append(sparsity(network))
        network.train()  # even if it does not leave the network as it is
        return super().scores(network, context)


def test_scores_are_computed_anew_at_each_pruning_step(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.plugins import finding as plugins

    entry = plugins.Entry("pruners", "counting", "", "test")
    entry.__dict__["plugin_class"] = Counting
    known = {kind: plugins.entries(kind) for kind in ("pruners", "models")}
    known["pruners"] = known["pruners"] | {"counting": (entry,)}
    monkeypatch.setattr(plugins, "entries", known.__getitem__)
    Counting.calls.clear()
    plain = compress(Gradual(training=TRAINING, every=0.6), 0.7)
    watched = compress(Gradual(pruner="counting", training=TRAINING, every=0.6), 0.7)
    assert len(Counting.calls) == 5  # 3 epochs, one every 0.6
    assert Counting.calls == sorted(set(Counting.calls))
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name])


def test_no_layer_may_lose_everything() -> None:
    network = small()
    with torch.no_grad():
        network.module.linear.weight.mul_(1e-8)  # type: ignore[union-attr,operator]
    context = make_context(network, network, data(), 7)
    slow = {"epochs": 1, "lr": 1e-12, "batch_size": 8}
    with pytest.raises(RequestError, match=r"'linear'.*layer collapse"):
        Gradual(training=slow).compress(network.copy().module, 0.5, context)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pruner": "l1-filter"}, "'l1-filter' does not rank single weights"),
        ({"pruner": "gradual"}, "does not rank single weights"),
        ({"pruner": "l1-unstructred"}, "did you mean 'l1-unstructured'"),
        ({"begin": 0.5, "end": 0.5}, "must come before"),
        ({"training": {"epochs": 0}}, "needs epochs"),
        ({"training": {"keep": "best"}}, "keeps the last epoch"),
        ({"every": 0}, "greater than 0"),
    ],
)
def test_wrong_requests_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        choose("pruners", "gradual", parameters)
