"""The fixed cut of a data set: the same images validate in every experiment."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prunebench.data import Split
from prunebench.errors import RequestError
from prunebench.seeding import derive


def draw_permutation(count: int, *purpose: str) -> Tensor:
    """Return an order of ``count`` images (int64) that depends on nothing but the arguments."""
    # RandomState, because NumPy froze its stream for good; torch and newer NumPy generators
    # may draw other numbers in another release, and a split must outlive releases.
    seed = derive(0, "split", *purpose) % 2**32
    return torch.from_numpy(np.random.RandomState(seed).permutation(count).astype(np.int64))


def divide(count: int, fraction: float, *purpose: str) -> tuple[Tensor, Tensor]:
    """Divide ``count`` images into a large and a small part, both in the fixed order.

    Args:
        count: The number of images.
        fraction: The share of the small part, in (0, 1); it has one image at least.
        purpose: What the cut is for, such as ``"cifar10"``.

    Returns:
        Indices of the images kept and of those cut off. A larger fraction cuts off the images of
        a smaller one and more.

    Raises:
        RequestError: Nothing would be kept.
    """
    cut = max(1, round(count * fraction))
    if cut >= count:
        raise RequestError(
            f"{'/'.join(purpose)}: {count} images are too few to cut off a share of {fraction}"
        )
    order = draw_permutation(count, *purpose)
    return order[cut:], order[:cut]


def cut_validation(train: Split, fraction: float, *purpose: str) -> tuple[Split, Split]:
    """Cut the validation split from a source's training images.

    Returns:
        The remaining training split and the validation split.
    """
    kept, cut = divide(len(train), fraction, *purpose)
    return train.subset(kept), train.subset(cut)
