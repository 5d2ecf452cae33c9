"""Usual statistics of images, tried in turn on weights that may have been trained with others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor, nn

from prunebench.data import Normalisation, usual_normalisation
from prunebench.networks.distillation import make_translation
from prunebench.networks.evaluation import predict

USUAL: Mapping[int, Mapping[str, Normalisation]] = {
    3: {
        "ImageNet's statistics": usual_normalisation(3),
        "a mean and deviation of 0.5": Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        "CIFAR-10's statistics": Normalisation((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
        "pixels from 0 to 1": Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        "pixels from 0 to 255": Normalisation((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    },
    1: {
        "a mean and deviation of 0.5": usual_normalisation(1),
        "MNIST's statistics": Normalisation((0.1307,), (0.3081,)),
        "pixels from 0 to 1": Normalisation((0.0,), (1.0,)),
        "pixels from 0 to 255": Normalisation((0.0,), (1 / 255,)),
    },
}
"""Statistics that networks are usually trained with, by the number of channels."""
BATCH = 64
CLEARLY = 0.05
"""How many more images, as a share, must be right under other statistics before they are named."""
ALIKE = 0.02
"""Difference of accuracies below which two statistics are about as good."""
SURE = 0.001
"""Largest p-value of McNemar's exact test at which they are."""


@dataclass(frozen=True)
class Fitting:
    """Usual statistics under which a network does better than under those it was given.

    Attributes:
        name: What they are called in a sentence.
        normalisation: The statistics.
        accuracy: Under them, in [0, 1].
        before: Under those it was given, in [0, 1].
    """

    name: str
    normalisation: Normalisation
    accuracy: float
    before: float


def find_better_statistics(
    module: nn.Module, images: Tensor, labels: Tensor, seen: Normalisation
) -> Fitting | None:
    """Find usual statistics under which a network is right on clearly more images.

    Args:
        module: The network: images in, logits N×K out.
        images: Normalised images, N×C×H×W.
        labels: True classes, N.
        seen: How the images were normalised.
    """
    before = _list_right(module, images, labels)
    found: list[Fitting] = []
    for name, other in USUAL.get(images.shape[1], {}).items():
        if other == seen:
            continue
        after = _list_right(module, make_translation(seen, other)(images), labels)
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        if gained - lost < CLEARLY * len(labels):
            continue
        if binomtest(gained, gained + lost, alternative="greater").pvalue < SURE:
            found.append(Fitting(name, other, float(after.mean()), float(before.mean())))
    best = max((fitting.accuracy for fitting in found), default=0)
    # Of those about as good, the one that is more usual.
    return next((fitting for fitting in found if fitting.accuracy > best - ALIKE), None)


def describe_fitting(fitting: Fitting) -> str:
    """Say under which statistics a network does better, and by how much."""
    return (
        f"is right on {fitting.before:.1%} of the images as they are normalised, and on "
        f"{fitting.accuracy:.1%} with {fitting.name}"
    )


def _list_right(module: nn.Module, images: Tensor, labels: Tensor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (predict(module, images, BATCH).argmax(1) == labels).cpu().numpy()
    return found
