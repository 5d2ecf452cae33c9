"""Doubts in a baseline that does not answer as a trained network: its maps mean nothing."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest
from torch import Tensor, nn

from prunebench.data import Normalisation
from prunebench.networks.usual_statistics import describe_fitting, find_better_statistics


def check_statistics(module: nn.Module, images: Tensor, labels: Tensor, seen: Normalisation) -> str:
    """Say which usual normalisation fits the baseline clearly better; empty if none does.

    Args:
        module: The baseline as a classifier.
        images: Normalised images, N×C×H×W.
        labels: True classes, N.
        seen: How the images were normalised.
    """
    fitting = find_better_statistics(module, images, labels, seen)
    if fitting is None:
        return ""
    return f"the baseline {describe_fitting(fitting)}: give {_spell(fitting.normalisation)}"


def _spell(statistics: Normalisation) -> str:
    mean, std = (
        ",".join(f"{value:.4g}" for value in values) for values in (statistics.mean, statistics.std)
    )
    return f"--mean {mean} --std {std}"


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
            f"{order:.1%} if its classes had another order: rename the folders so that, sorted by "
            "name, they come in the order in which it was trained (class 10 sorts before 2)"
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


def are_probabilities(logits: Tensor) -> bool:
    """Tell whether what a network gives are probabilities, N×K: a softmax at its end."""
    sums = logits.sum(1)
    return bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)


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
