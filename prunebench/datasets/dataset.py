"""The contract of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from prunebench.plugins.base import Plugin

if TYPE_CHECKING:
    from prunebench.data import Data


class Dataset(Plugin):
    """Base class of data sets: where the images are and how they are split."""

    method: ClassVar[str] = "load"

    showable: ClassVar[bool] = True
    """False where the licence forbids showing the images: records then keep maps alone."""

    def files(self) -> list[Path]:
        """List every file the images come from; their content enters all keys. Import no torch.

        By default, the parameters that are paths, and all that is in those that are folders.

        Raises:
            RequestError: Something is missing; the message says what to do about it.
        """
        found: list[Path] = []
        for path in super().files():
            found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        return found

    def fetch(self) -> None:
        """Download what is missing, where the data set can be downloaded."""

    def load(self) -> Data:
        """Read the images.

        Raises:
            RequestError: A file is corrupt; the message names it.
        """
        raise NotImplementedError
