"""A failure to write is said once, at once, and ends everything."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prunebench.errors import RequestError


class StoreError(RequestError):
    """The store cannot be read or written: nothing can go on."""


@contextmanager
def saving(where: Path) -> Iterator[None]:
    """Turns a failure to write into the one message that says so."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise StoreError(f"the store cannot be written: {reason}", where=str(where)) from error
    except sqlite3.OperationalError as error:
        raise StoreError(f"the store cannot be written: {error}", where=str(where)) from error


def write_whole(texts: Mapping[Path, str]) -> None:
    """Writes files: each is there whole or not at all, and none before all could be written."""
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    try:
        for path, text in texts.items():
            beside[path].write_text(text, encoding="utf-8", newline="\n")
        for path, temporary in beside.items():
            temporary.replace(path)
    finally:
        for temporary in beside.values():
            temporary.unlink(missing_ok=True)
