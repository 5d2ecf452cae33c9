"""Images in folders, one folder a class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.datasets.encoded_dataset import EncodedDataset, Examples, Positive
from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_folder, spell

if TYPE_CHECKING:
    from prunebench.data import Normalisation
    from prunebench.datasets.image_files import Fit

SUFFIXES = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


class Folder(EncodedDataset):
    """One folder a class, either under ``train/`` and ``test/`` or directly in the folder.

    With ``PATH/train/CLASS`` and ``PATH/test/CLASS`` these are the splits, and so is
    ``PATH/validation`` (or ``val``). With ``PATH/CLASS`` alone the test images are cut off by a
    fixed permutation. Classes are numbered in the order of their folders' names. Files directly
    in a class's folder count if their suffix is that of an image; names that begin with a dot do
    not. A link that leads out of the folder is refused. With ``size``, an image is scaled until it
    covers the size and cut around its centre, as ``prunebench compare`` does.
    """

    version: ClassVar[int] = 2
    fit: ClassVar[Fit] = "crop"

    path: Path = Field(description="folder of train/CLASS and test/CLASS, or of CLASS alone")
    mean: tuple[float, ...] = Field(
        (), description="mean of pixels in [0, 1], one a channel; ImageNet's, or 0.5 for grey"
    )
    std: tuple[Positive, ...] = Field(
        (), description="deviation of pixels in [0, 1], one a channel; ImageNet's, or 0.5 for grey"
    )
    test: float = Field(
        0.2, gt=0, lt=1, description="share of the images cut off for testing if there is no test/"
    )

    def normalisation(self) -> Normalisation:
        """Return mean and deviation as given; by default those of ImageNet, or 0.5 for grey."""
        from prunebench.data import Normalisation, usual_normalisation

        usual = usual_normalisation(self.channels)
        return Normalisation(
            self._repeat(self.mean) or usual.mean, self._repeat(self.std) or usual.std
        )

    def files(self) -> list[Path]:
        """List all images of all splits."""
        return [
            path for split in self._find_classes().values() for c in split.values() for path in c
        ]

    def find_examples(self) -> tuple[dict[str, Examples], tuple[str, ...]]:
        """Find the images; nothing is decoded."""
        found = self._find_classes()
        names = tuple(found.get("train", found.get("all", {})))
        splits = {split: _make_examples(classes, names) for split, classes in found.items()}
        if "all" in splits:
            from prunebench.datasets.splits import divide

            everything = splits.pop("all")
            kept, cut = divide(len(everything.images), self.test, "test")
            splits = {"train": everything.select(kept), "test": everything.select(cut)}
        return splits, names

    def _find_classes(self) -> dict[str, dict[str, list[Path]]]:
        """Find the images by split and class; the split is ``all`` where there are no splits."""
        if not is_folder(self.path):
            raise RequestError("folder: no such folder; check `path`", where=spell(self.path))
        root = self.path.resolve()
        folders = {
            split: next((self.path / name for name in names if (self.path / name).is_dir()), None)
            for split, names in SPLITS.items()
        }
        if folders["train"] is None or not _list_subfolders(folders["train"], root):
            return {"all": _find_images(self.path, root)}
        if folders["test"] is None:
            raise RequestError("folder: there is train/, but no test/", where=str(self.path))
        found = {split: _find_images(parent, root) for split, parent in folders.items() if parent}
        for split, classes in found.items():
            for name in classes:
                if name not in found["train"]:
                    raise RequestError(
                        f"folder: class {name!r} has no training images; "
                        f"{did_you_mean(name, found['train'])}",
                        where=spell(folders[split] or ""),
                    )
        return found


def _find_images(parent: Path, root: Path) -> dict[str, list[Path]]:
    """Find the images in each class's folder, classes and images sorted by name."""
    found = {
        spell(folder.name): _list_image_files(folder, root)
        for folder in _list_subfolders(parent, root)
    }
    if not found:
        raise RequestError("folder: no folders of classes there", where=spell(parent))
    for name, images in found.items():
        if not images:
            raise RequestError(
                f"folder: no images there ({', '.join(sorted(SUFFIXES))})",
                where=spell(parent / name),
            )
    return found


def _list_subfolders(parent: Path, root: Path) -> list[Path]:
    return _list_inside([entry for entry in _scan(parent) if is_folder(Path(entry))], root)


def _list_image_files(parent: Path, root: Path) -> list[Path]:
    entries = [entry for entry in _scan(parent) if Path(entry.name).suffix.lower() in SUFFIXES]
    return _list_inside([entry for entry in entries if not is_folder(Path(entry))], root)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """List what is in a folder and visible."""
    try:
        return [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        raise RequestError(
            f"folder: cannot be read: {error.strerror}", where=spell(folder)
        ) from None


def _list_inside(entries: list[os.DirEntry[str]], root: Path) -> list[Path]:
    """List these entries, sorted by name.

    Raises:
        RequestError: One is a link that leads nowhere or out of the root.
    """
    for entry in entries:
        target = Path(entry).resolve() if entry.is_symlink() else None
        if target and not (target.exists() and target.is_relative_to(root)):
            raise RequestError(
                "folder: a link out of the data set, or to nowhere", where=spell(entry.path)
            )
    return sorted(Path(entry) for entry in entries)


def _make_examples(classes: dict[str, list[Path]], names: tuple[str, ...]) -> Examples:
    from prunebench.datasets.image_files import Encoded

    images, labels = [], []
    for name, paths in classes.items():
        images += [Encoded(path, spell(path)) for path in paths]
        labels += [names.index(name)] * len(paths)
    return Examples(images, labels)
