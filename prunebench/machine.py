"""A lock for the whole machine: timing runs alone, everything else runs together."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def occupy(exclusive: bool, folder: Path | None = None) -> Iterator[None]:
    """Holds the machine, alone or with others; waits until that is possible.

    The locks are freed by the system when a process ends, however it ends.

    Args:
        exclusive: Whether nothing else may run meanwhile.
        folder: Where the lock files are; by default a folder that all processes of the machine
            share (a temporary folder of one's own would exclude nobody).
    """
    # Who waits to be alone holds the gate, so that a stream of others cannot starve it.
    root = folder or (Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir()))
    gate, room = _open(root / "prunebench-gate.lock"), _open(root / "prunebench-room.lock")
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        os.close(gate)
        os.close(room)


def _open(path: Path) -> int:
    # Without O_CREAT first: some systems refuse to re-create another user's file in /tmp.
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor
