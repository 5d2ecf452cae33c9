"""The small network from scratch: a pruned network's shape, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.networks.counting import count_total_macs
from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plugins import choose
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.magnitude import L1Filter
from prunebench.pruners.small import Small
from prunebench.record.checking import RecordIndex, check_record
from prunebench.store.digests import Digests
from prunebench.suite import load_suite

Write = Callable[..., Path]
RECIPE = Recipe(epochs=1, lr=1e-3, batch_size=20, keep="last")


@pytest.fixture
def context(tiny: Any, make_context: Any) -> Any:
    """What the pruner is given, with an untrained network whose weights are all drawn alike."""

    def build(seed: int) -> nn.Module:
        network: nn.Module = tiny()
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if name.endswith("weight") and weight.dim() > 1:
                    deviation = weight[0].numel() ** -0.5
                    weight.copy_(deviation * torch.randn(weight.shape, generator=draw))
        return network

    return make_context(tiny(), recipe=RECIPE, build=build)


def shapes(network: nn.Module) -> dict[str, Any]:
    return {name: tensor.shape for name, tensor in network.named_parameters()}


def test_it_has_the_shape_of_the_pruned_network_and_new_weights(tiny: Any, context: Any) -> None:
    trained: list[Recipe] = []
    untouched = replace(context, train=lambda module, recipe: trained.append(recipe))
    small = Small().compress(tiny(), 0.5, untouched)
    pruned = L1Filter(target="macs").compress(tiny(), 0.5, context)
    assert isinstance(small, nn.Module)
    assert shapes(small) == shapes(pruned)
    left = count_total_macs(small, context.example) / count_total_macs(tiny(), context.example)
    assert left == pytest.approx(0.5, abs=0.05)
    assert trained == [RECIPE]
    # As if it had been drawn at its own size: a deviation of one over the root of what is read.
    (weights,) = [w for name, w in small.named_parameters() if name == "3.weight"]
    assert float(weights.detach().std()) == pytest.approx(weights[0].numel() ** -0.5, rel=0.1)
    theirs = dict(pruned.named_parameters())["3.weight"]
    assert not torch.equal(weights, theirs)
    again = Small().compress(tiny(), 0.5, untouched)
    other = Small().compress(tiny(), 0.5, replace(untouched, seed=1))
    assert torch.equal(dict(again.named_parameters())["3.weight"], weights)
    assert not torch.equal(dict(other.named_parameters())["3.weight"], weights)


def test_it_is_trained(tiny: Any, context: Any) -> None:
    small = Small().compress(tiny(), 0.3, context)
    assert not small.training
    assert all(bool(weight.isfinite().all()) for weight in small.parameters())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pruner": "l1-unstructured"}, "'l1-unstructured' makes no smaller network"),
        ({"pruner": "int8"}, "'int8' makes no smaller network"),
        ({"pruner": "soft-filter"}, "'soft-filter' trains already"),
        ({"pruner": "l1-filtre"}, "did you mean 'l1-filter'"),
        ({"at": [0.3, 0.3]}, "listed twice"),
        ({"at": [1.2]}, "less than 1"),
        ({"at": []}, "at least 1"),
    ],
)
def test_wrong_requests_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        choose("pruners", "small", parameters)


def test_rounds_that_begin_anew_each_time_are_refused() -> None:
    with pytest.raises(RequestError, match="'small' leaves nothing of the round before"):
        choose("pruners", "iterative", {"pruner": "small", "rewind": "none"})


def test_a_baseline_with_weights_is_refused_before_anything_is_computed(
    toy_suite: Write, tmp_path: Path
) -> None:
    suite = load_suite(toy_suite())
    weights = suite.models[0].plugin.build(2, 1, (16, 16)).state_dict()
    torch.save(weights, tmp_path / "weights.pt")
    path = toy_suite(pruners="[small]", model="{toy-cnn: {weights: weights.pt}}")
    with pytest.raises(RequestError, match="'small' trains as long as the baseline did"):
        pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)


def test_it_has_levels_of_its_own_that_are_in_no_key(toy_suite: Write) -> None:
    def planned(pruner: str, **lines: str | None) -> list[tuple[float | None, str, str]]:
        suite = load_suite(toy_suite(pruners=f"[{pruner}]", **lines))
        trials = plan_trials(Identities(suite, Environment(), Digests()))
        return [(t.level, t.role, t.network.key) for t in trials if t.name == "small"]

    both = planned("small", levels=None)
    assert [found[:2] for found in both] == [(0.3, "small"), (0.5, "small")]
    assert planned("small: {at: [0.5]}", levels="[0.9]") == both[1:]


@pytest.mark.slow
def test_in_a_suite(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(pruners="[l1-filter: {target: macs}, small]", levels="[0.5]")
    found = pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert found.exit_status == 0, found.failed
    small = [record for record in found.records if record.role == "small"]
    (pruned,) = [record for record in found.records if record.role == "compressed"]
    assert [(record.axis, record.level) for record in small] == [("dense", 0.3), ("dense", 0.5)]
    assert small[1].reached.macs == pruned.reached.macs
    assert {record.images_seen for record in small} == {3 * 120 + 120}  # baseline's, and recovery
    index = RecordIndex(found.records)
    assert [str(each) for record in small for each in check_record(record, index)] == []
