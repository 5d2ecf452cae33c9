"""Data sets that torchvision can download: where they are kept, and how they get there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prunebench.errors import RequestError


class NotDownloaded(RequestError):
    """Files are not there yet that a run would download."""


def find_cache_folder() -> Path:
    """Find where downloads are kept: ``$PRUNEBENCH_CACHE``, or ``~/.cache/prunebench``."""
    chosen = os.environ.get("PRUNEBENCH_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "prunebench"


def require_files(files: Sequence[Path], dataset: str) -> list[Path]:
    """Return the files if all of them exist.

    Raises:
        NotDownloaded: One is missing.
    """
    for path in files:
        if not path.is_file():
            raise NotDownloaded(
                f"{dataset}: no such file; `prunebench run` downloads it, or set `root` to the "
                "folder above the one that holds it",
                where=str(path),
            )
    return list(files)


def download(torchvision_name: str, root: Path) -> None:
    """Let torchvision download a data set (it checks the archive's MD5).

    Args:
        torchvision_name: A class of ``torchvision.datasets``.
        root: The folder given to that class.

    Raises:
        RequestError: The download failed.
    """
    from torchvision import datasets

    try:
        getattr(datasets, torchvision_name)(str(root), download=True)
    except (OSError, RuntimeError, EOFError) as error:  # no network, full disk, wrong MD5
        raise RequestError(
            f"torchvision could not download {torchvision_name} ({error}); put its files there "
            "yourself, or set `root` to where they are",
            where=str(root),
        ) from error
