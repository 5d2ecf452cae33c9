"""Digests of files' content, cached by path, size and time: nothing is read twice."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from prunebench.errors import RequestError


class Digests:
    """Content digests, remembered in a small database.

    Args:
        cache: The database's file; in memory only if None.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.database = sqlite3.connect(cache or ":memory:", timeout=60)
        with self.database:
            self.database.execute(
                "CREATE TABLE IF NOT EXISTS digest "
                "(path TEXT PRIMARY KEY, size INTEGER, time INTEGER, digest TEXT)"
            )

    def of_file(self, path: Path) -> str:
        """The digest of one file's content.

        Raises:
            RequestError: There is no such file.
        """
        name = str(path.resolve())
        try:
            status = path.stat()
            key = (name, status.st_size, status.st_mtime_ns)
            row = self.database.execute(
                "SELECT digest FROM digest WHERE path = ? AND size = ? AND time = ?", key
            ).fetchone()
            if row:
                return str(row[0])
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        except OSError as error:
            raise RequestError(f"cannot be read: {error.strerror}", where=str(path)) from None
        with self.database:
            self.database.execute("REPLACE INTO digest VALUES (?, ?, ?, ?)", (*key, digest))
        return digest

    def of_files(self, paths: Iterable[Path]) -> str:
        """One digest for several files, whatever their names and order."""
        return _combine(sorted(self.of_file(path) for path in paths))

    def of_tree(self, paths: Iterable[Path]) -> str:
        """One digest for files that make one whole, their names within it included.

        The folder that contains them all does not matter, nor does the order.
        """
        files = list(paths)
        top = os.path.commonpath([path.absolute().parent for path in files])
        return _combine(
            sorted(
                f"{os.path.relpath(path.absolute(), top)}\0{self.of_file(path)}" for path in files
            )
        )


def _combine(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
