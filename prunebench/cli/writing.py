"""Writing files, as several commands do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunebench.errors import RequestError


@contextmanager
def refuse_unwritable(folder: Path) -> Iterator[None]:
    """Turn a folder that cannot be written into a wrong request."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"cannot be written: {error.strerror}", where=str(folder)) from error
