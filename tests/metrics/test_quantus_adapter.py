"""Metrics of Quantus: formulas, seeds, batches, what is undefined, what is refused."""

from __future__ import annotations

import builtins
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.metrics import Evidence
from prunebench.metrics.metric import NotApplicable
from prunebench.metrics.quantus_results import each_image, of_all_images
from prunebench.networks import Architecture, Network
from prunebench.plugins import choose

pytest.importorskip("quantus")

IMAGES, SIDE = 5, 12


class TinyCnn(nn.Module):
    """Two convolutions, an average and a linear layer: three layers to randomise."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.classify = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(images))))
        logits: Tensor = self.classify(hidden.mean((2, 3)))
        return logits


class Case:
    """A network, images and an explanation method, with what the method was asked for."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = TinyCnn().eval()
        self.images = torch.randn(IMAGES, 1, SIDE, SIDE)
        self.classes = self.module(self.images).argmax(1)
        self.masks = torch.zeros(IMAGES, SIDE, SIDE)
        self.masks[:, 3:9, 3:9] = 1
        self.calls: list[tuple[bool, int, int]] = []
        self.maps = self.explain(self.images, self.classes)
        self.calls.clear()

    def explain(
        self, images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        self.calls.append((module is None, first, len(images)))
        inputs = images.clone().requires_grad_()
        logits = (module or self.module)(inputs)
        logits.gather(1, classes[:, None]).sum().backward()
        assert inputs.grad is not None
        maps = (inputs.grad * inputs).sum(1).abs().detach()
        return maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-12)

    def batches(self, size: int) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(self.images), size):
            stop = min(start + size, len(self.images))
            yield slice(start, stop), self.images[start:stop]

    def evidence(self, seed: int = 0, **replaced: Callable[[], Any]) -> Evidence:
        architecture = Architecture(
            factory="tiny.py:here", classes=3, channels=1, size=(SIDE, SIDE), mean=(0,), std=(1,)
        )
        load: dict[str, Callable[[], Any]] = {
            "network": lambda: Network(self.module, architecture),
            "images": lambda: self.batches,
            "maps": lambda: self.maps,
            "masks": lambda: self.masks,
            "classes": lambda: self.classes,
            "explained": lambda: torch.arange(len(self.images)),
            "explainer": lambda: self.explain,
        }
        return Evidence(load | replaced, torch.device("cpu"), seed)

    def measure(self, name: str, seed: int = 0, batch_size: int = 64, **options: Any) -> Any:
        parameters = {"options": options, "batch_size": batch_size}
        metric = choose("metrics", f"quantus/{name}", parameters).plugin
        (value,) = metric.compute(self.evidence(seed)).values()
        return value


@pytest.fixture
def case() -> Case:
    return Case()


def test_complexity_is_the_entropy_of_the_map(case: Case) -> None:
    shares = case.maps.flatten(1).double()
    shares = shares / shares.sum(1, keepdim=True)
    expected = -(shares * shares.log()).sum(1)
    assert torch.allclose(case.measure("Complexity"), expected, rtol=1e-4)


def test_sparseness_is_the_gini_index(case: Case) -> None:
    ordered = case.maps.flatten(1).double().sort(1).values
    count = ordered.shape[1]
    ranks = torch.arange(1, count + 1).double()
    expected = ((2 * ranks - count - 1) * ordered).sum(1) / (count * ordered.sum(1))
    assert torch.allclose(case.measure("Sparseness"), expected, rtol=1e-4)


def test_relevance_mass_is_that_of_the_mask(case: Case) -> None:
    case.masks[0, 3:9, 3:9] = 0.4  # no object
    expected = (case.maps * case.masks).sum((1, 2)) / case.maps.sum((1, 2))
    found = case.measure("RelevanceMassAccuracy")
    assert found[0].isnan()
    assert torch.allclose(found[1:], expected[1:].double(), rtol=1e-5)


def test_max_sensitivity_perturbs_and_explains_anew(case: Case) -> None:
    found = case.measure("MaxSensitivity", nr_samples=4, lower_bound=0.2)
    assert (found > 0).all()
    assert case.calls == [(True, 0, IMAGES)] * 4
    still = case.measure("MaxSensitivity", nr_samples=1, lower_bound=1e-7)
    assert (still < 1e-3).all()


def test_faithfulness_correlation_lies_in_its_range(case: Case) -> None:
    found = case.measure("FaithfulnessCorrelation", subset_size=30, nr_runs=20)
    assert found.shape == (IMAGES,)
    assert (found.abs() <= 1).all()
    assert found.std() > 0


def test_model_randomisation_averages_layers_without_the_unchanged_network(case: Case) -> None:
    found = case.measure("MPRT", batch_size=3)
    assert found.shape == (IMAGES,)
    assert (found < 0.999).all()  # with the unchanged network, 1 of 4 would be 1
    own, other = ([c for c in case.calls if c[0] is same] for same in (True, False))
    assert other == [(False, 0, 3)] * 3 + [(False, 3, 2)] * 3
    assert own == [(True, 0, 3), (True, 3, 2)]
    last = case.measure("MPRT", return_last_correlation=True)
    assert not torch.equal(found, last)


def test_randomised_networks_are_the_same_in_every_batch(case: Case) -> None:
    whole, parts = case.measure("MPRT"), case.measure("MPRT", batch_size=2)
    assert torch.allclose(whole, parts, atol=1e-5)
    assert not torch.allclose(whole, case.measure("MPRT", seed=1), atol=1e-5)


def test_another_class_is_one_of_the_network(case: Case) -> None:
    found = case.measure("RandomLogit")  # would ask for class 999 of 1,000
    assert found.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Complexity", "RelevanceRankAccuracy", "PixelFlipping", "AUC"])
def test_without_draws_batches_leave_no_trace(case: Case, name: str) -> None:
    whole = case.measure(name)
    for size in (1, 2):
        assert torch.allclose(case.measure(name, batch_size=size), whole, atol=1e-5)


def test_the_seed_decides_and_no_generator_moves(case: Case) -> None:
    options = {"nr_samples": 3}
    found = case.measure("AvgSensitivity", **options)
    np.random.seed(5)
    torch.manual_seed(5)
    random.seed(5)
    states = str(np.random.get_state()), torch.get_rng_state(), random.getstate()
    assert torch.equal(case.measure("AvgSensitivity", **options), found)
    assert str(np.random.get_state()) == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert random.getstate() == states[2]
    assert not torch.equal(case.measure("AvgSensitivity", seed=1, **options), found)


def test_road_gives_one_number(case: Case) -> None:
    found = case.measure("ROAD", percentages=[10, 50], batch_size=2)
    assert isinstance(found, float)
    assert 0 <= found <= 1


def test_a_zero_map_is_undefined_and_changes_no_other(case: Case) -> None:
    before = case.measure("Sparseness")
    case.maps = case.maps.clone()
    case.maps[2] = 0
    for size in (1, 64):
        found = case.measure("Sparseness", batch_size=size)
        assert found.isnan().tolist() == [False, False, True, False, False]
        assert torch.equal(found.nan_to_num(0), before.index_fill(0, torch.tensor(2), 0))


def test_images_keep_their_place_where_one_is_left_out(case: Case) -> None:
    places: list[Tensor] = []

    def explain(images: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        places.append(images)
        return case.explain(images, *args, **kwargs)

    case.maps = case.maps.clone()
    case.maps[3] = 0
    metric = choose("metrics", "quantus/RandomLogit", {"batch_size": 3}).plugin
    metric.compute(case.evidence(explainer=lambda: explain))
    assert torch.equal(torch.cat(places), case.images)
    assert case.calls == [(True, 0, 3), (True, 3, 2)]


def test_no_map_at_all_is_not_applicable(case: Case) -> None:
    case.maps = torch.zeros_like(case.maps)
    with pytest.raises(NotApplicable, match="Complexity: every map is zero"):
        case.measure("Complexity")


def test_maps_that_vanish_are_undefined(case: Case) -> None:
    """Quantus refuses a batch whose maps are all zero after a perturbation."""
    vanish: set[int] = {0}

    def explain(
        images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        maps = case.explain(images, classes, module, first)
        return maps * 0 if first in vanish else maps

    metric = choose("metrics", "quantus/RandomLogit", {"batch_size": 2}).plugin
    (found,) = metric.compute(case.evidence(explainer=lambda: explain)).values()
    assert found.isnan().tolist() == [True, True, False, False, False]
    vanish |= {2, 4}
    with pytest.raises(NotApplicable, match=r"RandomLogit: .*all equal to zero"):
        metric.compute(case.evidence(explainer=lambda: explain))


def test_only_localisation_needs_masks(case: Case) -> None:
    def no_masks() -> Tensor:
        raise NotApplicable("the data set has neither masks nor boxes")

    evidence = case.evidence(masks=no_masks)
    choose("metrics", "quantus/Complexity").plugin.compute(evidence)
    with pytest.raises(NotApplicable, match="neither masks nor boxes"):
        choose("metrics", "quantus/PointingGame").plugin.compute(evidence)


def test_nothing_is_printed(case: Case, capfd: pytest.CaptureFixture[str]) -> None:
    case.measure("FaithfulnessCorrelation", subset_size=30, nr_runs=3)
    case.measure("MaxSensitivity", nr_samples=1, lower_bound=0.0)
    assert capfd.readouterr() == ("", "")


def test_the_network_is_left_as_it_was(case: Case) -> None:
    before = {key: value.clone() for key, value in case.module.state_dict().items()}
    case.measure("SmoothMPRT", nr_samples=2)
    case.measure("InputInvariance")
    assert not case.module.training
    assert all(torch.equal(before[key], v) for key, v in case.module.state_dict().items())
    assert not any(m._forward_hooks for m in case.module.modules())


@pytest.mark.parametrize(
    ("name", "value"),
    [("EfficientMPRT", "quantus_efficient_mprt"), ("AUC", "quantus_auc")],
)
def test_values_are_named_in_snake_case(case: Case, name: str, value: str) -> None:
    metric = choose("metrics", f"quantus/{name}").plugin
    assert set(metric.compute(case.evidence())) == {value}
    assert metric.higher_is_better is None


def test_a_function_is_an_option_by_its_name(case: Case) -> None:
    spearman = case.measure("MPRT", similarity_func="correlation_spearman")
    assert torch.equal(case.measure("MPRT"), spearman)
    assert not torch.equal(case.measure("MPRT", similarity_func="correlation_pearson"), spearman)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("MaxSensitvity", {}, "Quantus has no metric 'MaxSensitvity'; did you mean 'MaxSens"),
        ("Focus", {}, "no metric 'Focus'"),
        ("MaxSensitivity", {"nr_sample": 3}, "no option 'nr_sample'; did you mean 'nr_samples'"),
        ("MaxSensitivity", {"disable_warnings": True}, "no option 'disable_warnings'"),
        ("MPRT", {"similarity_func": "corelation_pearson"}, "did you mean 'correlation_pearson'"),
        ("MPRT", {"layer_order": "sideways"}, "quantus/MPRT refuses its options"),
    ],
)
def test_wrong_names_and_options_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        choose("metrics", f"quantus/{name}", {"options": options})


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "quantus":
            raise ImportError("No module named 'quantus'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RequestError, match=r"pip install 'prunebench\[quantus\]'"):
        choose("metrics", "quantus/Complexity")


def test_results_become_numbers() -> None:
    first, second = torch.tensor([0, 2]), torch.tensor([3])
    curves = [(first, [[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]]), (second, [np.array([True, False])])]
    assert each_image(curves, 4).nan_to_num(-1).tolist() == [2, -1, 5, 0.5]
    layers = [(first, {"original": [1, 1], "a": [0.0, 0.5], "b": [0.5, np.inf]})]
    assert each_image(layers, 3).nan_to_num(-1).tolist() == [0.25, -1, 0.5]
    assert of_all_images([(first, {10: 0.5, 50: 1.0}), (second, {10: 0.0, 50: 0.0})]) == 0.5
    assert of_all_images([(first, [np.nan]), (second, [0.25])]) == 0.25
    with pytest.raises(ValueError, match="values for 2 images"):
        each_image([(first, [1.0])], 3)
