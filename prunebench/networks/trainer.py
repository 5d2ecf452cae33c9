"""Training as methods ask for it: on one training split, counted, and resumed after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split, batches
from prunebench.errors import RequestError
from prunebench.networks.training import train
from prunebench.networks.training_state import Curve
from prunebench.plugins.context import Checkpoint
from prunebench.plugins.objective import CROSS_ENTROPY, Objective
from prunebench.plugins.recipe import Recipe


@dataclass
class Cost:
    """What training inside a method cost, and how it went.

    Attributes:
        images_seen: Training images, each as often as it was seen.
        trainings: How many there were.
        curve: The learning curve of the last training.
    """

    images_seen: int = 0
    trainings: int = 0
    curve: Curve = field(default_factory=list)


@dataclass(frozen=True)
class SplitTrainer:
    """A ``Trainer`` on the training split of one data set.

    Attributes:
        data: The data set; its test split is not touched.
        normalise: How networks want to see images, where they do not say so themselves.
        seed: The seed of data order, augmentation and dropout.
        device: Where to train.
        cost: Where to count what training costs.
        checkpoint: Scratch space for whole epochs; it holds one training.
        progress: ``progress(fraction, text)``.
    """

    data: Data
    normalise: Normalisation
    seed: int
    device: torch.device
    cost: Cost = field(default_factory=Cost)
    checkpoint: Checkpoint | None = None
    progress: Callable[[float, str], None] = lambda fraction, text: None

    def __call__(
        self,
        module: nn.Module,
        recipe: Recipe,
        objective: Objective = CROSS_ENTROPY,
        normalise: Normalisation | None = None,
    ) -> None:
        """Train a network in place; see ``plugins.context.Trainer``.

        Raises:
            RequestError: It is the second training by way of one checkpoint.
        """
        if self.cost.trainings and self.checkpoint is not None:
            raise RequestError(
                "one compression can train once, and this one trains again; a preparation of its "
                "own, or the suite's recovery, can hold the other training"
            )
        self.cost.trainings += 1
        self.cost.curve, seen = train(
            module,
            self.data,
            normalise or self.normalise,
            recipe,
            self.seed,
            self.device,
            objective=objective,
            checkpoint=self.checkpoint,
            progress=self.progress,
        )
        self.cost.images_seen += seen


def draw_batches(
    split: Split, normalise: Normalisation, seed: int, device: torch.device
) -> Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]:
    """Return ``batches(images, batch_size)``, which yields images drawn by a seed.

    Args:
        split: Where the images come from.
        normalise: How the network wants to see them.
        seed: The same images for the same seed.
        device: Where batches go.
    """

    def draw(images: int, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(split), generator=generator)[:images]
        return batches(split, normalise, batch_size, device, order)

    return draw
