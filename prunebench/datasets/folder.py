"""Images in folders, one folder a class."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from prunebench.datasets.encoded_dataset import EncodedDataset, Examples
from prunebench.errors import RequestError, did_you_mean

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
    not. A link that leads out of the folder is refused.
    """

    path: Path = Field(description="folder of train/CLASS and test/CLASS, or of CLASS alone")
    test: float = Field(
        0.2, gt=0, lt=1, description="share of the images cut off for testing if there is no test/"
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
        if not self.path.is_dir():
            raise RequestError("folder: no such folder; check `path`", where=str(self.path))
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
                        where=str(folders[split]),
                    )
        return found


def _find_images(parent: Path, root: Path) -> dict[str, list[Path]]:
    """Find the images in each class's folder, classes and images sorted by name."""
    found = {
        folder.name: _list_image_files(folder, root) for folder in _list_subfolders(parent, root)
    }
    if not found:
        raise RequestError("folder: no folders of classes there", where=str(parent))
    for name, images in found.items():
        if not images:
            raise RequestError(
                f"folder: no images there ({', '.join(sorted(SUFFIXES))})", where=str(parent / name)
            )
    return found


def _list_subfolders(parent: Path, root: Path) -> list[Path]:
    return _list_inside([entry for entry in os.scandir(parent) if entry.is_dir()], root)


def _list_image_files(parent: Path, root: Path) -> list[Path]:
    entries = [entry for entry in os.scandir(parent) if not entry.is_dir()]
    return _list_inside([e for e in entries if Path(e.name).suffix.lower() in SUFFIXES], root)


def _list_inside(entries: list[os.DirEntry[str]], root: Path) -> list[Path]:
    """List the visible ones of these entries, sorted by name.

    Raises:
        RequestError: One is a link that leads nowhere or out of the root.
    """
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in visible:
        target = Path(entry).resolve() if entry.is_symlink() else None
        if target and not (target.exists() and target.is_relative_to(root)):
            raise RequestError(
                "folder: a link out of the data set, or to nowhere", where=entry.path
            )
    return sorted(Path(entry) for entry in visible)


def _make_examples(classes: dict[str, list[Path]], names: tuple[str, ...]) -> Examples:
    from prunebench.datasets.image_files import Encoded

    images, labels = [], []
    for name, paths in classes.items():
        images += [Encoded(path, str(path)) for path in paths]
        labels += [names.index(name)] * len(paths)
    return Examples(images, labels)
