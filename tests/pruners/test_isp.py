"""Interpretation-steered pruning: its three terms, its budget, and what is left of the network."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.cams.amortized.decoder import Decoder
from prunebench.cams.amortized.encoder_maps import find_stages, read_stages
from prunebench.cams.amortized.options import Masks
from prunebench.conformance.bench import load_digits, train_network
from prunebench.errors import RequestError
from prunebench.execution.stages.context import make_context
from prunebench.networks import Network
from prunebench.networks.counting import count_total_macs
from prunebench.networks.trainer import Cost
from prunebench.plugins import choose
from prunebench.plugins.context import Context
from prunebench.pruners.filters.gate_training import GateTraining
from prunebench.pruners.filters.isp import Isp

BRIEF = {"epochs": 3, "images": 64, "batch_size": 32, "lr": 0.05}


def context(network: Network, cost: Cost | None = None, **others: Any) -> Context:
    return make_context(network, network, load_digits(), 0, cost, **others)


def decoder_for(network: nn.Module, example: Tensor, masks: Masks = "rbf") -> Decoder:
    """A decoder with random weights: it says something different of each network."""
    with torch.no_grad():
        _, features = read_stages(network, example, find_stages(network, example))
    torch.manual_seed(0)
    decoder = Decoder([maps.shape[1] for maps in features], 10, masks).to(example)
    return decoder.eval().requires_grad_(False)


def gate_training(
    network: Network,
    level: float = 0.5,
    masks: Masks = "rbf",
    weights: tuple[float, float, float] = (1.0, 10.0, 1.0),
) -> GateTraining:
    module = network.copy().module
    within = context(network)
    within = replace(within, example=within.example.to(next(module.parameters())))
    decoder = decoder_for(module, within.example, masks) if weights[1] else None
    return GateTraining(module, decoder, within, level, offset=3, temperature=0.4, weights=weights)


def some_digits(count: int) -> tuple[Tensor, Tensor]:
    data = load_digits()
    return data.normalisation(data.train.pixels[torch.arange(count)]), data.train.labels[:count]


@pytest.mark.parametrize("masks", ["rbf", "independent"])
@pytest.mark.parametrize("term", ["classification", "interpretation", "budget"])
def test_each_term_has_the_gradient_of_its_differences(term: str, masks: Masks) -> None:
    network = train_network("awkward").copy()
    network.module.double()
    found = gate_training(network, level=0.6, masks=masks).double()
    images, labels = some_digits(4)

    def value(logits: Tensor) -> Tensor:
        torch.manual_seed(3)  # the same gates' noise each time
        with torch.no_grad():
            found.logits.copy_(logits)
        return found.compute_losses(images.double(), labels)[term]

    logits = found.logits.detach().clone() - 1.5  # neither all open nor all closed
    value(logits).backward()  # type: ignore[no-untyped-call]
    gradient = found.logits.grad
    assert gradient is not None
    assert gradient.abs().max() > 1e-6
    for gate in gradient.abs().argsort(descending=True)[:5].tolist():
        step = torch.zeros_like(logits)
        step[gate] = 1e-5
        with torch.no_grad():
            difference = (value(logits + step) - value(logits - step)) / 2e-5
        torch.testing.assert_close(gradient[gate], difference, rtol=1e-4, atol=1e-8)


def test_terms_with_all_gates_open_are_what_they_say() -> None:
    network = train_network("awkward")
    found = gate_training(network, level=0.25)
    images, labels = some_digits(8)
    with torch.no_grad():
        found.logits.fill_(100)
        terms = found.compute_losses(images, labels)
        cross_entropy = F.cross_entropy(network.module(images), labels)
    torch.testing.assert_close(terms["classification"], cross_entropy)
    assert float(terms["interpretation"]) == pytest.approx(0, abs=1e-5)
    assert float(terms["budget"]) == pytest.approx(math.log(1 / 0.75), rel=1e-5)


@pytest.mark.slow
def test_statistics_are_those_of_the_network_that_is_cut() -> None:
    network = train_network("digits-cnn")
    found = gate_training(network, 0.5)
    images = torch.cat([images for images, _ in context(network).batches(1024, 128)])
    pruned = found.eval().cut()
    inputs: list[Tensor] = []
    norms = [layer for layer in pruned.modules() if isinstance(layer, nn.BatchNorm2d)]
    handle = norms[0].register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        pruned(images)
    handle.remove()
    assert norms[0].running_mean is not None
    wanted = inputs[0].mean((0, 2, 3))
    torch.testing.assert_close(norms[0].running_mean, wanted, rtol=0.02, atol=1e-3)
    assert norms[0].momentum == 0.1
    old = dict(network.module.named_buffers())
    assert any(
        old[name].shape != buffer.shape or not torch.equal(old[name], buffer)
        for name, buffer in pruned.named_buffers()
        if name.endswith("running_var")
    )


def test_the_budget_asks_for_no_less_than_the_level() -> None:
    found = gate_training(train_network("awkward"), level=0.25)
    with torch.no_grad():
        found.logits.fill_(-100)
        assert float(found.compute_losses(*some_digits(2))["budget"]) == 0


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({"classification": 0}, {"interpretation", "budget"}),
        ({"interpretation": 0}, {"classification", "budget"}),
        ({"budget": 0}, {"classification", "interpretation"}),
    ],
)
def test_each_term_can_be_switched_off(options: Mapping[str, float], terms: set[str]) -> None:
    pruner = Isp.model_validate(dict(options))
    weights = (pruner.classification, pruner.interpretation, pruner.budget)
    found = gate_training(train_network("awkward"), weights=weights)
    assert set(found.compute_losses(*some_digits(2))) == terms
    assert bool(pruner.prepare()) == ("interpretation" in terms)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["digits-cnn", "awkward"])
@pytest.mark.parametrize("level", [0.2, 0.5, 0.7])
def test_what_is_cut_answers_as_the_gated_network_did(which: Any, level: float) -> None:
    network = train_network(which)
    found = gate_training(network, level)
    images, _ = some_digits(6)
    found.eval()
    with torch.no_grad():
        gated = found(images)
    pruned = found.cut()
    with torch.no_grad():
        torch.testing.assert_close(pruned(images), gated, rtol=1e-4, atol=1e-5)
    example = network.example()
    left = count_total_macs(pruned, example) / count_total_macs(network.module, example)
    assert 1 - left == pytest.approx(level, abs=0.03)  # a channel of so small a network is 2%


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.3, 0.54, 0.8])
@pytest.mark.parametrize("name", ["resnet20", "sp2ps-stl10"])
def test_the_macs_reached_are_within_a_percent(name: str, level: float) -> None:
    plugin = choose("models", name).plugin
    size = (96, 96) if name == "sp2ps-stl10" else (32, 32)
    torch.manual_seed(0)
    module = plugin.build(10, 3, size).eval()
    *_, last = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    whole = count_total_macs(module, example := torch.zeros(1, 3, *size))
    within = replace(
        context(train_network("awkward")),
        example=torch.randn_like(example),
        batches=lambda images, size: iter([(torch.randn(4, *example.shape[1:]), torch.zeros(4))]),
        fixed_channels=frozenset(plugin.fixed_channels()) | {last},
    )
    pruner = Isp.model_validate({"interpretation": 0, "gates": {"epochs": 0}})
    pruned = pruner.compress(module, level, within)
    assert 1 - count_total_macs(pruned, example) / whole == pytest.approx(level, abs=0.01)


def test_a_level_that_empties_a_layer_is_refused_before_any_training() -> None:
    plugin = choose("models", "resnet20").plugin
    fixed = frozenset({*plugin.fixed_channels(), "linear"})
    within = replace(
        context(train_network("awkward"), cost := Cost()),
        example=torch.zeros(1, 3, 32, 32),
        fixed_channels=fixed,
    )
    pruner = Isp.model_validate({"interpretation": 0})
    with pytest.raises(RequestError, match="would be left without channels"):
        pruner.compress(plugin.build(10, 3, (32, 32)), 0.99, within)
    assert cost.trainings == 0


def test_where_a_closed_gate_is_no_removal_it_is_refused() -> None:
    mixed = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten()
    ).append(nn.Linear(8 * 12 * 12, 10))
    within = context(train_network("awkward"))
    with pytest.raises(RequestError, match="a closed gate is not a removed channel"):
        Isp().check(mixed, replace(within, fixed_channels=frozenset({"5"})))
    Isp().check(train_network("awkward").copy().module, within)


def pruned_by(pruner: Isp, cost: Cost, **others: Any) -> dict[str, Tensor]:
    network = train_network("awkward")
    within = context(network, cost, **others)
    decoder = decoder_for(network.module, within.example)
    within = replace(within, prepared={"selector": decoder.state_dict()})
    return pruner.compress(network.copy().module, 0.5, within).state_dict()


@pytest.mark.slow
def test_the_curve_tells_each_term_and_what_the_level_took() -> None:
    pruned_by(Isp.model_validate({"gates": BRIEF}), cost := Cost())
    assert cost.images_seen == 3 * 64
    for point in cost.curve:
        told = point["terms"]
        assert set(told) == {
            "classification",
            "interpretation",
            "budget",
            "macs_removed",
            "toggled",
        }
        assert point["loss"] == pytest.approx(
            told["classification"] + told["interpretation"] + told["budget"]
        )
        assert 0 <= told["toggled"] <= 1


def steered(weights: tuple[float, float, float]) -> GateTraining:
    """A network without 40% of its multiply-accumulates; its gates were trained by these terms."""
    images, labels = some_digits(128)
    found = gate_training(train_network("awkward"), 0.4, weights=weights)
    optimizer = torch.optim.Adam(found.parameters(), lr=0.1)
    torch.manual_seed(0)
    for _ in range(50):
        optimizer.zero_grad()
        torch.stack(list(found.compute_losses(images, labels).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return found.eval()


@pytest.mark.slow
def test_gates_learn_what_they_are_asked() -> None:
    """Each term is lower where it was minimised than where the budget was alone."""
    images, labels = some_digits(128)
    judge = gate_training(train_network("awkward"), 0.4, weights=(1, 1, 1))

    def judged(found: GateTraining) -> dict[str, float]:
        with torch.no_grad():
            judge.logits.copy_(torch.where(found.open, 100.0, -100.0))
            return {k: float(v) for k, v in judge.compute_losses(images, labels).items()}

    cheap = judged(steered((0, 0, 1)))
    assert judged(steered((1, 0, 1)))["classification"] < cheap["classification"]
    assert judged(steered((0, 1, 1)))["interpretation"] < cheap["interpretation"]


@pytest.mark.slow
def test_training_of_gates_that_was_killed_goes_on(dying: Any) -> None:
    pruner = Isp.model_validate({"gates": BRIEF | {"epochs": 4}})
    undisturbed = pruned_by(pruner, whole := Cost())
    with pytest.raises(dying.Killed):
        pruned_by(pruner, Cost(), checkpoint=dying)
    resumed = pruned_by(pruner, again := Cost(), checkpoint=dying.scratch)
    assert again.curve == whole.curve
    assert resumed.keys() == undisturbed.keys()
    assert all(torch.equal(resumed[name], undisturbed[name]) for name in resumed)


@pytest.mark.slow
def test_weights_that_stay_are_those_of_the_baseline() -> None:
    network = train_network("digits-cnn")
    found = gate_training(network, 0.3)
    images, labels = some_digits(4)
    before = copy.deepcopy(network.module.state_dict())
    torch.stack(list(found.compute_losses(images, labels).values())).sum().backward()  # type: ignore[no-untyped-call]
    pruned = found.cut().state_dict()
    first = next(iter(pruned))
    kept = [any(torch.equal(mine, its) for its in before[first]) for mine in pruned[first]]
    assert all(kept)
    assert all(torch.equal(network.module.state_dict()[k], v) for k, v in before.items())


def test_nothing_to_minimise_is_refused() -> None:
    nothing = {"classification": 0, "interpretation": 0, "budget": 0}
    with pytest.raises(ValidationError, match="must be above 0"):
        Isp.model_validate(nothing)
    with pytest.raises(ValidationError, match="gates have no teacher"):
        Isp.model_validate({"gates": {"distillation": {}}})


@pytest.mark.parametrize(("masks", "cam"), [("rbf", "aem-rbf"), ("independent", "aem-realx")])
def test_what_steers_by_default_is_the_explainer_by_default(masks: Masks, cam: str) -> None:
    assert Isp(masks=masks).prepare() == choose("cams", cam).plugin.prepare()
