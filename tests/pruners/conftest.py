"""A tiny network, and the context a compression method is given for it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split
from prunebench.networks.training import train
from prunebench.plugins.context import Context
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe

CLASSES = 5


def _tiny() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 20, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Linear(20 * 4, 16),
        nn.ReLU(),
        nn.Linear(16, CLASSES),
    )
    return network.eval()


@pytest.fixture(scope="session")
def tiny() -> Callable[[], nn.Module]:
    """Builds a network of two convolutions and two linear layers for 3×8×8 images, 5 classes."""
    return _tiny


@pytest.fixture(scope="session")
def make_context() -> Callable[..., Context]:
    """Makes the context for a network: ``make_context(network, size=8, seed=0, **others)``."""

    def make(network: nn.Module, size: int = 8, seed: int = 0, **others: object) -> Context:
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(6, 3, size, size, generator=generator)

        def batches(count: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
            for chunk in images[:count].split(batch_size):
                yield chunk, torch.arange(len(chunk)) % CLASSES

        def train_here(
            module: nn.Module, recipe: Recipe, objective: Objective = CROSS_ENTROPY, **_: object
        ) -> None:
            pixels = torch.randint(256, (40, 3, size, size), generator=generator).byte()
            split = Split(pixels, torch.arange(40) % CLASSES)
            data = Data(split, split, split, tuple("abcde"), Normalisation((0.5,) * 3, (0.5,) * 3))
            look = data.normalisation
            train(module, data, look, recipe, seed, torch.device("cpu"), objective=objective)

        defaults: dict[str, object] = {
            "classes": CLASSES,
            "baseline": copy.deepcopy(network),
            "train": train_here,
        }
        return Context(
            example=images[:1],
            batches=batches,
            seed=seed,
            device=torch.device("cpu"),
            **(defaults | others),
        )

    return make
