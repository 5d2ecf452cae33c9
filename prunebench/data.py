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
        """Return the number of images."""

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return the images at these indices, uint8, B×C×H×W."""


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        pixels: uint8 images, N×C×H×W.
        labels: int64, N.
        boxes: Where the data set has them, one object box an image: x0, y0, x1, y1 in pixels, N×4.
        masks: Where the data set has them, how far each pixel belongs to the object: uint8, 0 to
            255, N×H×W.
    """

    pixels: Tensor | Pixels
    labels: Tensor
    boxes: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> Split:
        """Return the images at these indices, in this order (decoded into memory)."""
        boxes = None if self.boxes is None else self.boxes[indices]
        masks = None if self.masks is None else self.masks[indices]
        return Split(self.pixels[indices], self.labels[indices], boxes, masks)

    def to(self, device: torch.device | str) -> Split:
        """Return the same split with pixels and labels on a device.

        Boxes and masks stay where they are: no network is ever shown them.
        """
        pixels = self.pixels.to(device) if isinstance(self.pixels, Tensor) else self.pixels
        return replace(self, pixels=pixels, labels=self.labels.to(device))

    def with_images_as_masks(self, *, soft: bool = True) -> Split:
        """Return the same split with each grey image on black as its own mask.

        Args:
            soft: How bright a pixel is, is how far it belongs to the object, as with a drawing
                (in the same memory); or every pixel that is not black belongs to it.
        """
        if not isinstance(self.pixels, Tensor):
            raise TypeError("only images in memory can be masks themselves")
        grey = self.pixels[:, 0]
        return replace(self, masks=grey if soft else (grey > 0).to(torch.uint8) * 255)


@dataclass(frozen=True)
class Normalisation:
    """Channel mean and standard deviation of pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Turn uint8 images B×C×H×W into the float32 input of a network."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=pixels.device).view(shape)
        std = torch.tensor(self.std, device=pixels.device).view(shape)
        return (pixels.float() / 255 - mean) / std


def usual_normalisation(channels: int) -> Normalisation:
    """Return ImageNet's statistics for colour images, as torchvision states them; 0.5 for grey."""
    if channels == 3:
        return Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return Normalisation((0.5,) * channels, (0.5,) * channels)


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
    """Yield (inputs, labels) on the device: inputs float32 B×C×H×W, labels int64 B.

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


def ground_truth(split: Split, indices: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Return where the object is in some images: from masks, or else from boxes.

    Args:
        split: Where the images come from.
        indices: The images, M.
        size: Height and width of the result; masks and boxes of images of another size are
            scaled.

    Returns:
        How far each pixel belongs to the object, float32 in [0, 1], M×H×W, on the CPU; a box
        holds the pixels whose centres are inside. None where there are neither masks nor boxes.
    """
    indices = indices.cpu()
    if split.masks is not None:
        masks = split.masks[indices.to(split.masks.device)].cpu().float() / 255
        if masks.shape[1:] == size:
            return masks
        return torch.nn.functional.interpolate(
            masks.unsqueeze(1), size, mode="bilinear", antialias=True
        ).squeeze(1)
    if split.boxes is not None:
        boxes = split.boxes[indices.to(split.boxes.device)].cpu().float()
        return _rasterise(boxes / _box_scale(split, size), size)
    return None


def _box_scale(split: Split, size: tuple[int, int]) -> Tensor:
    """Return what boxes are divided by to fit images of a size, 4."""
    first = torch.tensor([0])
    at = first.to(split.pixels.device) if isinstance(split.pixels, Tensor) else first
    height, width = split.pixels[at].shape[2:]
    down, across = height / size[0], width / size[1]
    return torch.tensor([across, down, across, down])


def _rasterise(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Turn boxes M×4 into masks of 0 and 1, M×H×W: 1 where a pixel's centre is inside."""
    rows, columns = (torch.arange(n) + 0.5 for n in size)
    x0, y0, x1, y1 = boxes.unsqueeze(2).unbind(1)
    down = (rows >= y0) & (rows < y1)
    across = (columns >= x0) & (columns < x1)
    return (down.unsqueeze(2) & across.unsqueeze(1)).float()
