"""What metrics of Quantus return, as numbers: of images, of layers, of steps on a curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# The similarity of an explanation to itself, which says nothing.
UNCHANGED = ("orig", "original")


def each_image(results: Sequence[tuple[Tensor, Any]], count: int) -> Tensor:
    """Return one number for each image.

    Args:
        results: Of each batch, which images were in it, and what Quantus returned: a sequence
            with an entry for each image, or such a sequence for each layer. Layers are averaged,
            and so is an entry that is a curve, without what is undefined.
        count: The number of images.

    Returns:
        float64, count; NaN for images in no batch and where Quantus gives no finite number.
    """
    values = torch.full((count,), torch.nan, dtype=torch.float64)
    for images, result in results:
        layers = _layers(result)
        numbers = np.array([[_number(entry) for entry in layer] for layer in layers])
        if numbers.shape[1:] != (len(images),):
            raise ValueError(
                f"Quantus returned {numbers.shape[1:]} values for {len(images)} images"
            )
        values[images.cpu()] = torch.tensor([_mean(each) for each in numbers.T], dtype=values.dtype)
    return values


def of_all_images(results: Sequence[tuple[Tensor, Any]]) -> float:
    """Return one number for all images: the mean over batches, by their numbers of images.

    Args:
        results: Of each batch, which images were in it, and what Quantus returned: numbers, by
            step or by the share of pixels removed. They are averaged without what is undefined.
    """
    numbers = [(len(images), _number(list(_layers(result)))) for images, result in results]
    defined = [(images, number) for images, number in numbers if math.isfinite(number)]
    total = sum(images for images, _ in defined)
    return sum(images * number for images, number in defined) / total if total else math.nan


def _layers(result: Any) -> list[Any]:
    if not isinstance(result, dict):
        return [result]
    return [values for key, values in result.items() if key not in UNCHANGED]


def _number(entry: Any) -> float:
    """Return a number, or the mean of a curve."""
    return _mean(list(entry.values()) if isinstance(entry, dict) else entry)


def _mean(values: Any) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.mean()) if len(finite) else math.nan
