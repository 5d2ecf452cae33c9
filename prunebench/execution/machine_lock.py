"""A lock for the whole machine: timing runs alone, everything else runs together."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.01  # seconds between looks at a lock
PATIENCE = 1.0  # seconds for which others are kept out at first
LONGEST_PATIENCE = 30.0


@contextmanager
def occupy(
    exclusive: bool, folder: Path | None = None, waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the machine, alone or with others; wait until that is possible.

    The locks are freed by the system when a process ends, however it ends.

    Args:
        exclusive: Whether nothing else may run meanwhile.
        folder: Where the lock files are; by default ``PRUNEBENCH_LOCKS``, or /tmp, which all
            processes of the machine share (a temporary folder of one's own would exclude nobody).
        waiting: Called now and then while others have the machine.
    """
    root = folder or Path(os.environ.get("PRUNEBENCH_LOCKS") or _shared_folder())
    gate, room = _open(root / "prunebench-gate.lock"), _open(root / "prunebench-room.lock")
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    patience = PATIENCE
    try:
        while True:
            _wait(gate, fcntl.LOCK_EX, None, waiting)
            # Who waits to be alone keeps others from entering, or a stream of them would starve
            # it; but not for long at a time, since who is inside may stay for hours.
            entered = _wait(room, how, patience if exclusive else None, waiting)
            fcntl.flock(gate, fcntl.LOCK_UN)
            if entered:
                break
            time.sleep(patience)
            patience = min(2 * patience, LONGEST_PATIENCE)
        yield
    finally:
        os.close(gate)
        os.close(room)


def _wait(lock: int, how: int, patience: float | None, waiting: Callable[[], None]) -> bool:
    end = None if patience is None else time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if end is not None and time.monotonic() > end:
                return False
            waiting()
            time.sleep(POLL)


def _shared_folder() -> Path:
    return Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())


def _open(path: Path) -> int:
    # Without O_CREAT first: some systems refuse to re-create another user's file in /tmp.
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor
