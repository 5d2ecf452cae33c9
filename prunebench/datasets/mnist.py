"""MNIST, and Fashion-MNIST in the same format: IDX files in torchvision's layout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.datasets.dataset import Dataset
from prunebench.datasets.downloads import NotDownloaded, download, find_cache_folder
from prunebench.errors import RequestError

if TYPE_CHECKING:
    from prunebench.data import Data, Split

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class Mnist(Dataset):
    """Handwritten digits, 28×28, 1 channel."""

    torchvision_name: ClassVar[str] = "MNIST"
    elsewhere: ClassVar[tuple[Path, ...]] = ()
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    drawn: ClassVar[bool] = True
    """Whether brightness tells how far a pixel belongs to the object."""
    mean: ClassVar[float] = 0.1307
    std: ClassVar[float] = 0.3081

    root: Path = Field(
        default_factory=find_cache_folder,
        description="folder that holds the IDX files, or MNIST/raw (FashionMNIST/raw) with them",
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the training images cut off for validation"
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="upper bound of uniform noise on pixels that are exactly 0, in units of the "
        "brightest pixel; masks stay those of the clean image",
    )

    def files(self) -> list[Path]:
        """Find the four IDX files, gzipped or not, in the first folder that has them all."""
        name = self.torchvision_name
        folders = (self.root / name / "raw", self.root, *self.elsewhere)
        found = [[_find_idx_file(folder, file) for file in FILES] for folder in folders]
        for paths in found:
            if None not in paths:
                return [path for path in paths if path is not None]
        # Speak of the folder that comes nearest to being whole.
        nearest = min(range(len(folders)), key=lambda i: found[i].count(None))
        missing = FILES[found[nearest].index(None)]
        raise NotDownloaded(
            f"{name}: no {missing}[.gz] there, nor all four IDX files in any of "
            f"{', '.join(map(str, folders))}; `prunebench run` downloads them, or set `root`",
            where=str(folders[nearest]),
        )

    def fetch(self) -> None:
        """Download the files through torchvision if they are missing."""
        try:
            self.files()
        except RequestError:
            download(self.torchvision_name, self.root)

    def load(self) -> Data:
        """Read the images, uint8 N×1×28×28; each, without noise, is its own mask."""
        from prunebench.data import Data, Normalisation
        from prunebench.datasets.splits import cut_validation

        train_images, train_labels, test_images, test_labels = self.files()
        name = self.torchvision_name.lower()
        train, validation = cut_validation(
            self._read(train_images, train_labels, "train"), self.validation, name
        )
        return Data(
            train,
            validation,
            self._read(test_images, test_labels, "test"),
            self.class_names,
            Normalisation((self.mean,), (self.std,)),
        )

    def _read(self, images: Path, labels: Path, source: str) -> Split:
        from prunebench.data import Split
        from prunebench.datasets.idx import read_idx
        from prunebench.datasets.noise import add_noise_to_black

        pixels, classes = read_idx(images, 3), read_idx(labels, 1)
        if pixels.shape[1:] != (28, 28):
            raise RequestError(
                f"images of 28×28 expected, found {tuple(pixels.shape[1:])}", where=str(images)
            )
        if len(classes) != len(pixels):
            raise RequestError(
                f"{len(classes)} labels for the {len(pixels)} images of {images.name}",
                where=str(labels),
            )
        if len(classes) == 0 or classes.max() > 9:
            raise RequestError("labels from 0 to 9 expected", where=str(labels))
        clean = Split(pixels.unsqueeze(1), classes.long()).with_images_as_masks(soft=self.drawn)
        return add_noise_to_black(clean, self.noise, self.torchvision_name.lower(), source)


class FashionMnist(Mnist):
    """Photographs of articles of clothing, 28×28, 1 channel, in MNIST's format."""

    torchvision_name: ClassVar[str] = "FashionMNIST"
    # Where Debian's package dataset-fashion-mnist puts the files.
    elsewhere: ClassVar[tuple[Path, ...]] = (Path("/usr/share/datasets/fashion-mnist"),)
    class_names: ClassVar[tuple[str, ...]] = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    drawn: ClassVar[bool] = False
    mean: ClassVar[float] = 0.2860
    std: ClassVar[float] = 0.3530


def _find_idx_file(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None
