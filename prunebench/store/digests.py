"""Digests of files' content, cached by path, size and time: nothing is read twice."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from prunebench.errors import RequestError
from prunebench.input_files import find_status, spell
from prunebench.store.writing import saving

DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's errors for a table with other columns, broken pages, and a file that is no database."""


class Digests:
    """Content digests, remembered in a small database.

    Args:
        cache: The database's file; in memory only if None.
    """

    def __init__(self, cache: Path | None = None) -> None:
        try:
            self.database = _open(cache)
        except sqlite3.DatabaseError as error:
            if cache is None or error.sqlite_errorcode not in DAMAGED:
                raise
            cache.unlink()  # it only remembers what can be read again
            self.database = _open(cache)

    def of_file(self, path: Path) -> str:
        """Return the digest of one file's content.

        Raises:
            RequestError: There is no such file.
        """
        return self._of_each([path])[0]

    def of_files(self, paths: Iterable[Path]) -> str:
        """Return one digest for several files, whatever their names and order."""
        return _combine(sorted(self._of_each(paths)))

    def of_tree(self, paths: Iterable[Path]) -> str:
        """Return one digest for files that make one whole, their names within it included.

        The folder that contains them all does not matter, nor does the order.
        """
        files = list(paths)
        top = os.path.commonpath([path.absolute().parent for path in files])
        names = [os.path.relpath(path.absolute(), top) for path in files]
        digests = self._of_each(files)
        return _combine(
            sorted(f"{name}\0{digest}" for name, digest in zip(names, digests, strict=True))
        )

    def _of_each(self, paths: Iterable[Path]) -> list[str]:
        found: list[str] = []
        new: list[tuple[str, int, int, str]] = []
        try:
            for path in paths:
                key = _state(path)
                digest = self._known(key)
                if digest is None:
                    digest = _read(path)
                    new.append((*key, digest))
                found.append(digest)
        finally:
            # One transaction for all: each waits for the disk.
            if new:
                with saving(Path("digests.sqlite")), self.database:
                    self.database.executemany("REPLACE INTO digest VALUES (?, ?, ?, ?)", new)
        return found

    def _known(self, key: tuple[str, int, int]) -> str | None:
        row = self.database.execute(
            "SELECT digest FROM digest WHERE path = ? AND size = ? AND time = ?", key
        ).fetchone()
        return str(row[0]) if row else None


def _open(cache: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(cache or ":memory:", timeout=60)
    with database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS digest "
            "(path TEXT PRIMARY KEY, size INTEGER, time INTEGER, digest TEXT)"
        )
        database.execute("SELECT path, size, time, digest FROM digest LIMIT 1").fetchone()
    return database


def _state(path: Path) -> tuple[str, int, int]:
    """Return name, size and time of a file: while these stay, so does its content."""
    status = find_status(path)
    return spell(path.resolve()), status.st_size, status.st_mtime_ns


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror}", where=spell(path)) from None


def _combine(parts: list[str]) -> str:
    # Names of files may be bytes that are no UTF-8.
    text = "\n".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
