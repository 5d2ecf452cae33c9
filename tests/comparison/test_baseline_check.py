"""A baseline that sees images otherwise than it was trained to, or classes in another order."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from prunebench.comparison.baseline_check import check_statistics, find_doubt
from prunebench.data import Normalisation
from prunebench.networks.usual_statistics import find_better_statistics

TRUE, HALF = Normalisation((0.0,), (1.0,)), Normalisation((0.5,), (0.5,))


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    found = load_digits()
    pixels = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16
    return pixels, torch.tensor(found.target)


@pytest.fixture(scope="module")
def trained(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """A network that was trained on pixels from 0 to 1."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(digits[0][:1000]), digits[1][:1000]).backward()
        optimizer.step()
    return network.eval()


def test_a_trained_network_that_sees_what_it_should_is_not_doubted(
    trained: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = (part[1000:] for part in digits)
    assert check_statistics(trained, images, labels, TRUE) == ""
    with torch.no_grad():
        assert find_doubt(trained(images), labels) == ""


def test_statistics_that_fit_better_are_found_and_spelled(
    trained: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = (part[1000:] for part in digits)
    seen = (images - 0.5) / 0.5
    fitting = find_better_statistics(trained, seen, labels, HALF)
    assert fitting is not None
    assert fitting.normalisation == TRUE
    assert fitting.accuracy > fitting.before + 0.05
    assert "--mean 0 --std 1" in check_statistics(trained, seen, labels, HALF)


def test_another_order_of_classes_is_recognised(
    trained: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = (part[1000:] for part in digits)
    with torch.no_grad():
        doubt = find_doubt(trained(images), (labels + 1) % 10)
    assert "if its classes had another order: rename the folders" in doubt


@pytest.mark.parametrize("seed", range(20))
def test_guesses_are_doubted_and_a_good_network_of_two_classes_is_not(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (200,), generator=draw)
    assert "as guessing among 10" in find_doubt(torch.rand(200, 10, generator=draw), labels)
    few = torch.randint(2, (12,), generator=draw)
    right = few.clone()
    right[:3] = 1 - right[:3]  # 9 of 12
    assert find_doubt(nn.functional.one_hot(right, 2).float(), few) == ""


def test_one_class_alone_is_no_order(digits: tuple[Tensor, Tensor]) -> None:
    logits = nn.functional.one_hot(torch.zeros(100, dtype=torch.int64), 3).float()
    assert find_doubt(logits, torch.zeros(100, dtype=torch.int64)) == ""
