"""A failure to write is said once, at once, and ends everything."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
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
