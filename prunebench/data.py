"""Images in memory: splits that never mix, and how a network wants to see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


class Pixels(Protocol):
    """Images by index: a uint8 tensor N×C×H×W, or anything that decodes on demand."""

    def __len__(self) -> int:
        """The number of images."""

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Returns the images at these indices, uint8, B×C×H×W."""


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        pixels: uint8 images, N×C×H×W.
        labels: int64, N.
        boxes: Where the data set has them, one object box an image: x0, y0, x1, y1 in pixels, N×4.
    """

    pixels: Tensor | Pixels
    labels: Tensor
    boxes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> Split:
        """The images at these indices, in this order (decoded into memory)."""
        boxes = None if self.boxes is None else self.boxes[indices]
        return Split(self.pixels[indices], self.labels[indices], boxes)

    def to(self, device: torch.device | str) -> Split:
        """The same split with its tensors on a device."""
        pixels = self.pixels.to(device) if isinstance(self.pixels, Tensor) else self.pixels
        return replace(self, pixels=pixels, labels=self.labels.to(device))


@dataclass(frozen=True)
class Normalisation:
    """Channel mean and standard deviation of pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Turns uint8 images B×C×H×W into the float32 input of a network."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=pixels.device).view(shape)
        std = torch.tensor(self.std, device=pixels.device).view(shape)
        return (pixels.float() / 255 - mean) / std


@dataclass(frozen=True)
class Data:
    """A data set in three splits that share no image.

    Attributes:
        normalisation: The data's own mean and deviation; a model with published weights may
            demand another (see ``Model.normalisation``).
    """

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    normalisation: Normalisation

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.test.pixels[torch.tensor([0])].shape
        return channels, height, width


def batches(
    split: Split,
    normalise: Normalisation,
    batch_size: int,
    device: torch.device | str,
    order: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (inputs, labels) on the device: inputs float32 B×C×H×W, labels int64 B.

    Args:
        split: Where the images come from.
        normalise: How the network wants to see them.
        batch_size: Images a batch; the last one may be smaller.
        device: Where the batch goes.
        order: Indices into the split; all in their order by default.
    """
    indices = torch.arange(len(split)) if order is None else order
    for start in range(0, len(indices), batch_size):
        chunk = indices[start : start + batch_size]
        at = chunk.to(split.pixels.device) if isinstance(split.pixels, Tensor) else chunk
        pixels = split.pixels[at].to(device, non_blocking=True)
        yield normalise(pixels), split.labels[chunk.to(split.labels.device)].to(device)
