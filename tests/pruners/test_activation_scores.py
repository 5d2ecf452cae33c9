from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunebench.pruners.filters.activations import ActivationMean, Activity, Apoz
from prunebench.pruners.filters.feature_scores import (
    average_scores,
    compute_active_shares,
    compute_mean_activations,
    divide_by_layer_mean,
)


def tiny_maps(network: Any, image: Tensor) -> dict[str, Tensor]:
    """Feature maps of the tiny network for one image, by hand: C×places."""
    first = network[:3](image[None])
    second = network[3:5](first)
    hidden = network[5:9](second)
    return {"0": first[0].flatten(1), "3": second[0].flatten(1), "7": hidden[0][:, None]}


@torch.no_grad()
def naive(network: Any, context: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Mean activations and shares of places that are not zero, image by image."""
    means: dict[str, Any] = {"0": 0.0, "3": 0.0, "7": 0.0}
    shares: dict[str, Any] = dict(means)
    images = [image for inputs, _ in context.batches(6, 6) for image in inputs]
    for image in images:
        for name, maps in tiny_maps(network, image).items():
            means[name] = means[name] + maps.mean(1) / len(images)
            percentage_of_zeros = torch.tensor([100 * (row == 0).float().mean() for row in maps])
            shares[name] = shares[name] + (1 - percentage_of_zeros / 100) / len(images)
    return means, shares


def test_scores_are_those_of_a_loop(tiny: Any, make_context: Any) -> None:
    context = make_context(tiny())
    found = Activity(images=6).compute(tiny(), context)
    means, shares = naive(tiny(), context)
    assert set(found) == {f"{kind}/{name}" for kind in ("mean", "active") for name in means}
    for name in means:
        expected = means[name] / means[name].square().sum().sqrt()
        assert torch.allclose(found[f"mean/{name}"].float(), expected, atol=1e-6)
        expected = shares[name] / shares[name].mean()
        assert torch.allclose(found[f"active/{name}"].float(), expected, atol=1e-5)
        assert float(found[f"mean/{name}"].norm()) == pytest.approx(1)


@pytest.mark.parametrize(("method", "place"), [(ActivationMean, 0), (Apoz, 1)])
def test_the_lowest_of_a_layer_go(method: Any, place: int, tiny: Any, make_context: Any) -> None:
    network = tiny()
    context = make_context(network, fixed_channels=frozenset({"0", "7"}))
    (preparation,) = method(images=6).prepare()
    assert preparation == Activity(images=6)  # both methods share it
    scores = preparation.compute(network, context)
    pruner = method(images=6, target="channels", scope="layerwise")
    context = make_context(
        network, fixed_channels=frozenset({"0", "7"}), prepared={"scores": scores}
    )
    pruned = pruner.compress(tiny(), 0.3, context)
    lowest = naive(network, context)[place]["3"].argsort(stable=True)[:6].tolist()
    kept = sorted(set(range(20)) - set(lowest))
    assert torch.equal(pruned[3].weight, network[3].weight[kept])


def test_without_an_activation_values_of_both_signs_count() -> None:
    maps = torch.tensor([[[[1.0, -3.0], [0.0, 2.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    assert compute_mean_activations(maps).tolist() == [[1.5, 1.0]]
    assert compute_active_shares(maps).tolist() == [[0.5, 0.0]]
    assert compute_mean_activations(maps[:, :, 0, 1]).tolist() == [[3.0, 1.0]]
    assert compute_active_shares(maps[:, :, 0, 0]).tolist() == [[1.0, 0.0]]


def test_a_layer_without_any_activity_scores_zero() -> None:
    found = divide_by_layer_mean(
        {"dead": torch.zeros(3).double(), "alive": torch.tensor([1.0, 3.0]).double()}
    )
    assert found["dead"].tolist() == [0, 0, 0]
    assert found["alive"].tolist() == [0.5, 1.5]


def test_images_that_say_nothing_are_left_out(make_context: Any) -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(128, 5))
    given = iter([[[1.0, 2.0]], [[torch.nan, torch.nan]], [[5.0, 8.0]]] * 2)

    def score(features: Any) -> dict[str, Tensor]:
        each = torch.tensor([row for _ in features.logits for row in next(given)])
        return {"some": each, "never": torch.full_like(each, torch.nan)}

    found = average_scores(network, make_context(network), 6, score)
    assert set(found) == {"some"}
    assert found["some"].tolist() == [3.0, 5.0]
