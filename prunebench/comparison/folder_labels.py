"""Labels that folders give: one folder a class, in the order of their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from prunebench.errors import RequestError

SPLITS = {"train", "test", "val", "validation"}


def find_labels(root: Path, names: Sequence[str], classes: int) -> tuple[Tensor | None, str]:
    """Find the labels of images, and say in a sentence what was found.

    Args:
        root: The folder of images.
        names: The images' paths in it.
        classes: Number of classes of the networks.

    Returns:
        Labels, N, or None where folders are not classes.

    Raises:
        RequestError: The folders are splits, of which one is to be chosen.
    """
    folders = list_folders(root)
    if splits := sorted(SPLITS & set(folders)):
        raise RequestError(
            f"holds the splits {', '.join(splits)}; give the images of one, {root / splits[0]}",
            where=str(root),
        )
    if not folders or any("/" not in name for name in names):
        return None, "No accuracy, since images without one folder a class have no labels"
    if len(folders) != classes:
        return None, (
            f"No accuracy, since {len(folders)} folders are no labels of {classes} classes"
        )
    labels = torch.tensor([folders.index(name.partition("/")[0]) for name in names])
    return labels, f"Labels: folders in the order of their names, from `{folders[0]}` as class 0"


def list_folders(root: Path) -> list[str]:
    """List the names of the folders in a folder, sorted."""
    return sorted(path.name for path in root.iterdir() if path.is_dir())
