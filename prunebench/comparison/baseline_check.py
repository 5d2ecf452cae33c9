"""Whether a baseline answers as a trained network should: if not, its maps mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest
from torch import Tensor, nn

from prunebench.data import Normalisation
from prunebench.networks.distillation import make_translation
from prunebench.networks.evaluation import predict

USUAL: Mapping[int, Mapping[str, Normalisation]] = {
    3: {
        "ImageNet's": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "timm's for vision transformers": Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        "CIFAR-10's": Normalisation((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
        "pixels from 0 to 1": Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        "pixels from 0 to 255": Normalisation((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    },
    1: {
        "a mean of 0.5": Normalisation((0.5,), (0.5,)),
        "MNIST's": Normalisation((0.1307,), (0.3081,)),
        "pixels from 0 to 1": Normalisation((0.0,), (1.0,)),
        "pixels from 0 to 255": Normalisation((0.0,), (1 / 255,)),
    },
}
"""Statistics that networks are usually trained with, by the number of channels."""
BATCH = 64
CLEARLY = 0.05
"""How many more images, as a share, must be right under other statistics before they are named."""
SURE = 0.001
"""Largest p-value of McNemar's exact test at which they are."""


@dataclass(frozen=True)
class Fitting:
    """Usual statistics under which the baseline does better.

    Attributes:
        name: Whose they are.
        normalisation: The statistics.
        accuracy: Under them, in [0, 1].
    """

    name: str
    normalisation: Normalisation
    accuracy: float


def check_baseline(module: nn.Module, images: Tensor, labels: Tensor, seen: Normalisation) -> str:
    """Say why no verdict can rest on this baseline; empty if one can.

    Args:
        module: The baseline as a classifier.
        images: Normalised images, N×C×H×W.
        labels: True classes, N.
        seen: How the images were normalised.
    """
    logits = predict(module, images, BATCH)
    if fitting := find_better_statistics(module, images, labels, seen):
        right = float((logits.argmax(1) == labels).double().mean())
        return describe_fitting(fitting, right)
    return find_doubt(logits, labels)


def find_doubt(logits: Tensor, labels: Tensor) -> str:
    """Say why the baseline's answers are not those of a trained network; empty if they are.

    Args:
        logits: Of the baseline, N×K.
        labels: True classes, N.
    """
    right = logits.argmax(1) == labels
    count, found, classes = len(labels), int(right.sum()), logits.shape[1]
    if (order := _find_other_order(logits.argmax(1), labels, classes)) is not None:
        return (
            f"the baseline is right on {found / count:.1%} of {count} images, but would be on "
            f"{order:.1%} if its classes had another order: the order of the labels (of folders: "
            "by name) is not the one it was trained with"
        )
    chance = 1 / classes
    likely = binomtest(found, count, chance, alternative="greater").pvalue > 0.01
    if likely and found / count - chance < (1 - chance) / 4:
        return (
            f"the baseline is right on {found} of {count} images, as guessing among {classes} "
            "classes would be: its weights, the normalisation of images or the order of classes "
            "is not the one it was trained with"
        )
    return ""


def find_better_statistics(
    module: nn.Module, images: Tensor, labels: Tensor, seen: Normalisation
) -> Fitting | None:
    """Find usual statistics under which the baseline is right on clearly more images.

    Args:
        module: The baseline as a classifier.
        images: Normalised images, N×C×H×W.
        labels: True classes, N.
        seen: How the images were normalised.
    """
    before = _list_right(module, images, labels)
    best: Fitting | None = None
    for name, other in USUAL.get(images.shape[1], {}).items():
        if other == seen:
            continue
        after = _list_right(module, make_translation(seen, other)(images), labels)
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        if gained - lost < CLEARLY * len(labels):
            continue
        sure = binomtest(gained, gained + lost, alternative="greater").pvalue < SURE
        if sure and (best is None or after.mean() > best.accuracy):
            best = Fitting(name, other, float(after.mean()))
    return best


def describe_fitting(fitting: Fitting, accuracy: float) -> str:
    """Say under which statistics the baseline does better, and how to ask for them."""
    mean, std = (
        ",".join(f"{value:.4g}" for value in values)
        for values in (fitting.normalisation.mean, fitting.normalisation.std)
    )
    return (
        f"the baseline is right on {accuracy:.1%} of the images as they are normalised, and on "
        f"{fitting.accuracy:.1%} with {fitting.name} statistics: give --mean {mean} --std {std}"
    )


def _list_right(module: nn.Module, images: Tensor, labels: Tensor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (predict(module, images, BATCH).argmax(1) == labels).cpu().numpy()
    return found


def _find_other_order(predictions: Tensor, labels: Tensor, classes: int) -> float | None:
    """Return the accuracy under the order of classes that fits best, where that is far better."""
    if len(labels) < 5 * classes or classes > 2000:  # any order fits a few images
        return None
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    counts.index_put_((labels.cpu(), predictions.cpu()), torch.tensor(1), accumulate=True)
    table = counts.numpy()
    rows, columns = linear_sum_assignment(table, maximize=True)
    best = float(table[rows, columns].sum() / len(labels))
    now = float(np.trace(table) / len(labels))
    return best if best >= 0.6 and best - now >= 0.3 else None
