from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prunebench import load_suite, run
from prunebench.errors import RequestError
from prunebench.networks.quantised.layers import find_int8_layers
from prunebench.plugins import choose
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.gradual import Gradual
from prunebench.pruners.int8_after import Int8After
from prunebench.pruners.weights.gradient_magnitude import Gradient

Write = Callable[..., Path]


def test_pruned_trained_and_quantised(tiny: Any, make_context: Any) -> None:
    method = Int8After(pruner="l1-unstructured", training=Recipe(epochs=1, lr=1e-3))
    network = method.compress(tiny(), 0.5, make_context(tiny()))
    layers = find_int8_layers(network)
    assert set(layers) == {"0", "3", "7", "9"}
    zeros = sum(int((layer.codes == 0).sum()) for layer in layers.values())
    assert zeros >= 0.5 * sum(layer.codes.numel() for layer in layers.values())
    untrained = Int8After(pruner="l1-unstructured").compress(tiny(), 0.5, make_context(tiny()))
    images = make_context(tiny()).example
    assert not torch.equal(network(images), untrained(images))


def test_filters_are_gone_before(tiny: Any, make_context: Any) -> None:
    network = Int8After(pruner="l1-filter").compress(tiny(), 0.5, make_context(tiny()))
    left = sum(layer.codes.numel() for layer in find_int8_layers(network).values())
    whole = sum(weight.numel() for weight in tiny().parameters() if weight.dim() > 1)
    assert left / whole == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pruner": "int8-after"}, "'int8-after' quantises already"),
        ({"pruner": "none"}, "'none' cannot be asked for a level"),
        ({"pruner": "l1-filtre"}, "did you mean 'l1-filter'"),
        ({"training": {"epochs": 1, "distillation": {}}}, "an option of recovery"),
    ],
)
def test_wrong_requests_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        choose("pruners", "int8-after", parameters)


@pytest.mark.slow
def test_in_a_suite(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(pruners="[int8-after: {training: {epochs: 1}}]", levels="[0.5]")
    results = run(load_suite(path), store=tmp_path / "store", tracking_uri="")
    found = [record for record in results.records if record.pruner_name == "int8-after"]
    assert [record.axis for record in found] == ["quantised"]
    assert found[0].images_seen == 120


@pytest.mark.parametrize("trained", ["gradual", "soft-filter", "isp"])
def test_a_second_training_is_refused_before_anything_is_computed(
    toy_suite: Write, trained: str
) -> None:
    method = f"int8-after: {{pruner: {trained}, training: {{epochs: 1}}}}"
    with pytest.raises(RequestError, match=f"'{trained}' trains already.*train once"):
        load_suite(toy_suite(pruners=f"[{method}]", levels="[0.5]"))


@pytest.mark.slow
def test_a_method_of_another_package_that_trains_twice_fails_with_the_reason(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gradual, "trains", False)  # one that does not say that it trains
    method = "int8-after: {pruner: {gradual: {training: {epochs: 1}}}, training: {epochs: 1}}"
    path = toy_suite(pruners=f"[{method}]", levels="[0.5]")
    results = run(load_suite(path), store=tmp_path / "store", tracking_uri="")
    assert any("can train once" in each for each in map(str, results.failed.values()))


def test_versions_of_what_is_prepared_within_enter_the_key(monkeypatch: Any) -> None:
    def changed() -> Any:
        plugin = choose("pruners", "iterative", {"pruner": "gradient-magnitude"}).plugin
        return plugin.changed_parameters()

    before = changed()
    monkeypatch.setattr(Gradient, "version", 2)
    assert changed() != before
