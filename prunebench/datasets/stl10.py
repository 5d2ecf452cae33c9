"""STL-10: the labelled images, from the binary files that torchvision downloads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from prunebench.datasets.dataset import Dataset
from prunebench.datasets.downloads import download, find_cache_folder, require_files
from prunebench.errors import RequestError

if TYPE_CHECKING:
    from prunebench.data import Data, Split

FOLDER = "stl10_binary"
FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin")
CLASS_NAMES = (
    "airplane",
    "bird",
    "car",
    "cat",
    "deer",
    "dog",
    "horse",
    "monkey",
    "ship",
    "truck",
)


class Stl10(Dataset):
    """Colour photographs of ten classes, 96×96, 3 channels; the unlabelled images are not used."""

    root: Path = Field(
        default_factory=find_cache_folder,
        description=f"folder that holds {FOLDER}, as in torchvision",
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the training images cut off for validation"
    )

    def files(self) -> list[Path]:
        """List the images and labels of the training and test sets."""
        return require_files([self.root / FOLDER / name for name in FILES], "stl10")

    def fetch(self) -> None:
        """Download the files through torchvision (2.6 GB, most of it unlabelled) if missing."""
        try:
            self.files()
        except RequestError:
            download("STL10", self.root)

    def load(self) -> Data:
        """Read the images, uint8 N×3×96×96."""
        from prunebench.data import Data, Normalisation
        from prunebench.datasets.splits import cut_validation

        train_images, train_labels, test_images, test_labels = self.files()
        train, validation = cut_validation(
            _read(train_images, train_labels), self.validation, "stl10"
        )
        normalisation = Normalisation((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713))
        return Data(train, validation, _read(test_images, test_labels), CLASS_NAMES, normalisation)


def _read(images: Path, labels: Path) -> Split:
    """Read images (three planes each, column by column) and labels from 1 to 10."""
    import numpy as np
    import torch

    from prunebench.data import Split

    content, classes = np.fromfile(images, np.uint8), np.fromfile(labels, np.uint8)
    count, rest = divmod(len(content), 3 * 96 * 96)
    if rest or count == 0:
        raise RequestError(
            f"truncated: {len(content)} bytes are no whole number of 3×96×96 images",
            where=str(images),
        )
    if len(classes) != count:
        raise RequestError(
            f"{len(classes)} labels for the {count} images of {images.name}", where=str(labels)
        )
    if classes.min() < 1 or classes.max() > 10:
        raise RequestError("labels from 1 to 10 expected", where=str(labels))
    pixels = torch.from_numpy(content).view(count, 3, 96, 96).transpose(2, 3).contiguous()
    return Split(pixels, torch.from_numpy(classes).long() - 1)
