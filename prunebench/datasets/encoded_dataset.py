"""What data sets of encoded images share: their parameters, and how they become splits."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from prunebench.datasets.dataset import Dataset

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.data import Data, Normalisation, Split
    from prunebench.datasets.image_files import Encoded, Fit

Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Examples:
    """Encoded images of one split with their labels and, where there are any, boxes in pixels."""

    images: list[Encoded]
    labels: list[int]
    boxes: list[list[float]] | None = None

    def select(self, indices: Tensor) -> Examples:
        """Select the examples at these indices, in this order."""
        chosen = indices.tolist()
        return Examples(
            [self.images[i] for i in chosen],
            [self.labels[i] for i in chosen],
            None if self.boxes is None else [self.boxes[i] for i in chosen],
        )


class EncodedDataset(Dataset):
    """Base of data sets whose images are files of their own, such as JPEG or PNG."""

    fit: ClassVar[Fit] = "squash"
    """How images are brought to ``size``; boxes are known to follow a squash alone."""

    path: Path = Field(description="the folder")
    validation: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="share of the training images cut off where there is no validation split",
    )
    size: int | None = Field(
        None,
        ge=1,
        le=16_384,
        description="resize every image to size×size; all must be of one size without",
    )
    channels: Literal[1, 3] = Field(3, description="3: colour (grey is repeated); 1: grey")
    mean: tuple[float, ...] = Field(
        (0.5,), description="mean of pixels in [0, 1]: one, or one a channel"
    )
    std: tuple[Positive, ...] = Field(
        (0.5,), description="standard deviation of pixels in [0, 1]: one, or one a channel"
    )
    memory: float = Field(
        1.0, ge=0, description="GiB of decoded images above which they are decoded on demand"
    )

    @field_validator("mean", "std")
    @classmethod
    def _one_a_channel(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        channels = info.data.get("channels", len(value))
        if len(value) not in (1, channels):
            raise ValueError(f"one value or {channels} expected, one a channel")
        return value

    def find_examples(self) -> tuple[dict[str, Examples], tuple[str, ...]]:
        """Find the encoded images.

        Returns:
            Examples by split (``train``, ``test`` and perhaps ``validation``), and class names.
        """
        if hasattr(self, "examples"):  # as the method was called in 0.1
            warnings.warn(
                f"{type(self).__name__}.examples is now find_examples; the old name is gone in "
                "prunebench 0.3",
                DeprecationWarning,
                stacklevel=2,
            )
            found: tuple[dict[str, Examples], tuple[str, ...]] = self.examples()
            return found
        raise NotImplementedError

    def load(self) -> Data:
        """Read the images, uint8 N×C×H×W: into memory, or to be decoded on demand."""
        from prunebench.data import Data
        from prunebench.datasets.image_files import read_image_size
        from prunebench.datasets.splits import divide

        splits, class_names = self.find_examples()
        train = splits["train"]
        size = (self.size, self.size) if self.size else read_image_size(train.images[0])
        if "validation" not in splits:
            kept, cut = divide(len(train.images), self.validation, "validation")
            splits |= {"train": train.select(kept), "validation": train.select(cut)}
        images = sum(len(examples.images) for examples in splits.values())
        in_memory = images * self.channels * math.prod(size) <= self.memory * 2**30
        return Data(
            self._make_split(splits["train"], size, in_memory),
            self._make_split(splits["validation"], size, in_memory),
            self._make_split(splits["test"], size, in_memory),
            class_names,
            self.normalisation(),
        )

    def normalisation(self) -> Normalisation:
        """Return how networks see the images, unless their weights demand something else."""
        from prunebench.data import Normalisation

        return Normalisation(self._repeat(self.mean), self._repeat(self.std))

    def _repeat(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return values if len(values) == self.channels else values * self.channels

    def _make_split(self, examples: Examples, size: tuple[int, int], in_memory: bool) -> Split:
        import torch

        from prunebench.data import Split
        from prunebench.datasets.image_files import ImageFiles

        fit = self.fit if self.size is not None else None
        files = ImageFiles(examples.images, self.channels, size, resize=fit)
        boxes = None if examples.boxes is None else torch.tensor(examples.boxes).float()
        if boxes is not None and files.resize:
            down, across = (torch.tensor(size) / files.read_sizes()).unbind(1)
            boxes = boxes * torch.stack([across, down, across, down], dim=1)
        elif not in_memory:
            files.read_sizes()  # what headers tell is better known now than in the middle of a run
        pixels = files[torch.arange(len(files))] if in_memory else files
        return Split(pixels, torch.tensor(examples.labels, dtype=torch.int64), boxes)
