"""Files that others made: read up to a limit, and named so that the name prints."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from prunebench.errors import RequestError


def is_folder(path: Path) -> bool:
    """Return whether there is a folder.

    Raises:
        RequestError: That cannot be seen: a folder above is closed, or the name is impossible.
    """
    return stat.S_ISDIR(_find_mode(path))


def is_file(path: Path) -> bool:
    """Return whether there is a regular file: not a folder, a pipe or a device.

    Raises:
        RequestError: As of ``is_folder``.
    """
    return stat.S_ISREG(_find_mode(path))


def find_status(path: Path) -> os.stat_result:
    """Return size and times of a regular file.

    Raises:
        RequestError: It is not there, or a folder, a pipe or a device, which has no end.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot be read: {_reason(error)}", where=spell(path)) from None
    if not stat.S_ISREG(status.st_mode):
        raise RequestError("cannot be read: is no regular file", where=spell(path))
    return status


def read_bytes(path: Path, largest: int) -> bytes:
    """Read a file, or what a pipe gives.

    Args:
        path: The file.
        largest: Bytes at most; no more are read, though a device may go on for ever.

    Raises:
        RequestError: It is not there, cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError:
        raise RequestError("no such file", where=spell(path)) from None
    except (OSError, ValueError) as error:  # the latter for a name that holds a zero byte
        raise RequestError(f"cannot be read: {_reason(error)}", where=spell(path)) from None
    if len(content) > largest:
        raise RequestError(f"is larger than {largest:,} bytes", where=spell(path))
    return content


def spell(name: str | Path) -> str:
    r"""Return a name as it can be printed and written: bytes that are no UTF-8 as ``\udcff``."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def _find_mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot be read: {_reason(error)}", where=spell(path)) from None


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
