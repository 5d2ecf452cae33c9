from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.plugins.preparing import prepared
from prunebench.pruners.balanced_images import draw_balanced
from prunebench.pruners.filters.classwise_importance import (
    attenuate_similar,
    compute_class_losses,
    compute_similarities,
    estimate_by_gradient,
    measure_by_removal,
    split_by_class,
)
from prunebench.pruners.filters.senpis import ClasswiseImportance, Senpis


def calibration(context: Any) -> list[tuple[Tensor, Tensor]]:
    return list(split_by_class(*draw_balanced(context, 2)))


def test_losses_of_classes_are_means_over_their_images(tiny: Any, make_context: Any) -> None:
    classes = calibration(make_context(tiny()))
    assert [len(labels) for _, labels in classes] == [2, 1, 1, 1, 1]
    found = compute_class_losses(tiny(), classes)
    for loss, (inputs, labels) in zip(found, classes, strict=True):
        assert float(loss) == pytest.approx(F.cross_entropy(tiny()(inputs), labels).item(), 1e-5)


def test_importance_by_removal_is_the_change_of_each_class_loss(
    tiny: Any, make_context: Any
) -> None:
    context = make_context(tiny())
    classes = calibration(context)
    found = measure_by_removal(tiny(), classes, context)
    assert {name: each.shape for name, each in found.items()} == {
        "0": (5, 12),
        "3": (5, 20),
        "7": (5, 16),
    }
    before = compute_class_losses(tiny(), classes)

    def without(layer: int, k: int) -> Tensor:
        def zero(module: nn.Module, given: Any, output: Tensor) -> Tensor:
            output[:, k] = 0
            return output

        network = tiny()
        network[layer].register_forward_hook(zero)  # of the activation behind the filter
        return (compute_class_losses(network, classes) - before).abs()

    for layer, activation, k in ((0, 2, 0), (0, 2, 7), (3, 4, 11), (7, 8, 15)):
        expected = without(activation, k)
        assert torch.allclose(found[str(layer)][:, k], expected, atol=1e-6)


def test_importance_by_gradient_is_first_order(tiny: Any, make_context: Any) -> None:
    classes = calibration(make_context(tiny()))
    found = estimate_by_gradient(tiny(), classes, make_context(tiny()))
    network = tiny()

    def loss(place: int, k: int, scale: float) -> float:
        inputs, labels = classes[place]
        maps = network[:5](inputs)
        factor = torch.ones(20)
        factor[k] = scale
        scaled = maps * factor[:, None, None]
        return F.cross_entropy(network[5:](scaled).double(), labels).item()

    for place, k in itertools.product((0, 3), (0, 4, 19)):
        slope = (loss(place, k, 1.01) - loss(place, k, 0.99)) / 0.02
        assert float(found["3"][place, k]) == pytest.approx(abs(slope), rel=1e-2, abs=2e-5)


def test_less_important_of_each_alike_pair_is_attenuated() -> None:
    importance = torch.tensor([3.0, 1.0, 2.0, 5.0])
    similarity = torch.eye(4)
    for (i, j), value in {(0, 1): 0.9, (1, 2): 0.9, (2, 3): 0.1}.items():
        similarity[i, j] = similarity[j, i] = value
    found = attenuate_similar(importance, similarity, sigma=1.0, factor=0.5)
    # Filter 1 is the lesser one of two pairs; the pair (2, 3) is not alike enough.
    assert found.tolist() == [3.0, 0.25, 2.0, 5.0]


def test_of_twins_one_alone_is_attenuated() -> None:
    similarity = torch.full((3, 3), 0.2)
    similarity[0, 2] = similarity[2, 0] = 1.0
    found = attenuate_similar(torch.ones(3), similarity, sigma=1.0, factor=0.9)
    assert found.tolist() == pytest.approx([1.0, 1.0, 0.9]) or found.tolist() == pytest.approx(
        [0.9, 1.0, 1.0]
    )
    assert attenuate_similar(torch.ones(1), torch.ones(1, 1), 1.0, 0.5).tolist() == [1.0]


def test_similarity_of_maps_is_structural() -> None:
    maps = torch.rand(4, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    found = compute_similarities(maps)
    assert torch.allclose(found, found.T)
    assert torch.allclose(found.diagonal(), torch.ones(5).double())
    mean = maps.double().mean(0)
    weights = torch.exp(-torch.tensor([1.0, 0, 1]).double() / (2 * 1.5**2))
    window = torch.outer(weights, weights) / weights.sum() ** 2

    def local(values: Tensor, row: int, column: int) -> float:
        padded = F.pad(values, (1, 1, 1, 1))
        return float((padded[row : row + 3, column : column + 3] * window).sum())

    a, b = mean[1], mean[3]
    total = 0.0
    for row, column in itertools.product(range(6), range(7)):
        ma, mb = local(a, row, column), local(b, row, column)
        va, vb = local(a * a, row, column) - ma**2, local(b * b, row, column) - mb**2
        both = local(a * b, row, column) - ma * mb
        total += (
            (2 * ma * mb + 1e-4) * (2 * both + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
        )
    assert float(found[1, 3]) == pytest.approx(abs(total / 42))


def test_similarity_of_neurons_is_the_cosine() -> None:
    outputs = torch.tensor([[1.0, 2, 0, 0, -1], [2, 4, 1, 0, -2]])
    found = compute_similarities(outputs)
    assert float(found[0, 1]) == pytest.approx(1)
    assert float(found[0, 4]) == pytest.approx(1)  # in absolute value
    assert float(found[0, 2]) == pytest.approx(2 / 5**0.5)
    assert float(found[0, 3]) == 0
    assert float(found[3, 3]) == 1


@pytest.mark.parametrize("estimate", ["removal", "gradient"])
def test_scores_are_multiples_of_the_layers_mean(
    estimate: Any, tiny: Any, make_context: Any
) -> None:
    context = make_context(tiny())
    scores = ClasswiseImportance(images=2, estimate=estimate).compute(tiny(), context)
    assert {name: len(each) for name, each in scores.items()} == {"0": 12, "3": 20, "7": 16}
    for each in scores.values():
        assert (each >= 0).all()
        assert float(each.mean()) == pytest.approx(1)


@pytest.mark.slow
def test_filter_that_one_class_needs_counts_by_the_maximum(tiny: Any, make_context: Any) -> None:
    context = make_context(tiny())
    plain = {"images": 2, "attenuation": 1.0}
    classes = measure_by_removal(tiny(), calibration(context), context)["3"]
    for over, expected in (("mean", classes.mean(0)), ("max", classes.amax(0))):
        preparation = ClasswiseImportance(over=over, **plain)
        found = preparation.compute(tiny(), context)["3"]
        assert torch.allclose(found, expected / expected.mean())


def test_filters_that_no_class_needs_go_first(tiny: Any, make_context: Any) -> None:
    def network() -> Any:
        found = tiny()
        with torch.no_grad():
            found[3].weight[:, [1, 6, 8]] = 0
        return found

    context = prepared(Senpis().prepare(), network(), make_context(network()))
    pruned: Any = Senpis(target="channels", scope="global").compress(network(), 3 / 48, context)
    assert pruned[0].out_channels == 9
    assert torch.allclose(pruned(context.example), network()(context.example), atol=1e-6)


class Residual(nn.Module):
    """Two convolutions whose channels a sum ties together."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = F.relu(x + self.second(x))
        found: Tensor = self.fc(x.mean((2, 3)))
        return found


def test_coupled_filters_are_removed_together(make_context: Any) -> None:
    torch.manual_seed(0)
    network = Residual().eval()
    context = make_context(network)
    classes = calibration(context)
    found = measure_by_removal(network, classes, context)
    assert len(found) == 1  # told of one of them: both go by the mean of what is told
    silent: Any = copy.deepcopy(network)
    with torch.no_grad():
        for layer in (silent.first, silent.second):
            layer.weight[4], layer.bias[4] = 0, 0
    expected = (
        compute_class_losses(silent, classes) - compute_class_losses(network, classes)
    ).abs()
    for each in found.values():
        assert torch.allclose(each[:, 4], expected, atol=1e-6)
    pruner = Senpis(target="channels")
    pruned: Any = pruner.compress(network, 0.5, prepared(pruner.prepare(), network, context))
    assert pruned.first.out_channels == pruned.second.out_channels == 3


class Branches(nn.Module):
    """Two branches side by side, added to a third: their channels bear other numbers there."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1)
        self.c = nn.Conv2d(3, 9, 3, padding=1)
        self.fc = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc((torch.cat([self.a(x), self.b(x)], 1) + self.c(x)).mean((2, 3)))
        return found


def test_branches_side_by_side(make_context: Any) -> None:
    network = Branches().eval()
    context = prepared(Senpis().prepare(), network, make_context(network))
    pruned: Any = Senpis(target="channels").compress(network, 0.3, context)
    assert pruned.c.out_channels == pruned.a.out_channels + pruned.b.out_channels < 9
