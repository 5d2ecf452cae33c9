"""Writing files whole or not at all; where that fails, the run ends with one message."""

from __future__ import annotations

import errno
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor


class StoreError(RequestError):
    """The store cannot be read or written: nothing can go on."""


@contextmanager
def saving(where: Path) -> Iterator[None]:
    """Turn a failure to write into the one message that says so."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise StoreError(f"the store cannot be written: {reason}", where=str(where)) from error
    except sqlite3.OperationalError as error:
        raise StoreError(f"the store cannot be written: {error}", where=str(where)) from error


def write_files(contents: Mapping[Path, str | bytes]) -> None:
    """Write files: each is there whole or not at all, and none before all could be written.

    Args:
        contents: By path, what the file will hold; its folder is there.
    """
    beside = {path: path.with_name(f".{path.name}-{uuid.uuid4().hex}") for path in contents}
    try:
        for path, content in contents.items():
            beside[path].write_bytes(content.encode() if isinstance(content, str) else content)
        for path, temporary in beside.items():
            temporary.replace(path)
    finally:
        for temporary in beside.values():
            temporary.unlink(missing_ok=True)


def separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies on the CPU: safetensors refuses tensors that share memory."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
