"""CIFAR-10 through torchvision, which unpickles files of known MD5 only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from prunebench.datasets.dataset import Dataset
from prunebench.datasets.downloads import download, find_cache_folder, require_files
from prunebench.errors import RequestError

if TYPE_CHECKING:
    from prunebench.data import Data

FOLDER = "cifar-10-batches-py"
FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


class Cifar10(Dataset):
    """Small colour photographs of ten classes, 32×32, 3 channels."""

    root: Path = Field(
        default_factory=find_cache_folder,
        description=f"folder that holds {FOLDER}, as in torchvision",
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the training images cut off for validation"
    )

    def files(self) -> list[Path]:
        """List the five training batches, the test batch and the names of the classes."""
        return require_files([self.root / FOLDER / name for name in FILES], "cifar10")

    def fetch(self) -> None:
        """Download the files through torchvision if they are missing."""
        try:
            self.files()
        except RequestError:
            download("CIFAR10", self.root)

    def load(self) -> Data:
        """Read the images, uint8 N×3×32×32.

        Raises:
            RequestError: A file is missing, or is not the published one.
        """
        import torch
        from torchvision.datasets import CIFAR10

        from prunebench.data import Data, Normalisation, Split
        from prunebench.datasets.splits import cut_validation

        self._refuse_changed_files()

        def read(train: bool) -> Split:
            # The batches are pickles; torchvision checks their MD5 again before it opens them.
            source = CIFAR10(str(self.root), train=train)
            pixels = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
            return Split(pixels, torch.tensor(source.targets, dtype=torch.int64))

        train, validation = cut_validation(read(True), self.validation, "cifar10")
        normalisation = Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
        return Data(train, validation, read(False), CLASS_NAMES, normalisation)

    def _refuse_changed_files(self) -> None:
        from torchvision.datasets import CIFAR10
        from torchvision.datasets.utils import check_integrity

        meta = CIFAR10.meta["filename"], CIFAR10.meta["md5"]
        published = dict([*CIFAR10.train_list, *CIFAR10.test_list, meta])
        for path in self.files():
            if not check_integrity(path, published[path.name]):
                raise RequestError(
                    "cifar10: not the published file (its MD5 differs), so it is not unpickled; "
                    "delete it, and `prunebench run` downloads it again",
                    where=str(path),
                )
