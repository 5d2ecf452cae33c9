"""Who is at work on what: no two living processes do the same step."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prunebench.store.writing import saving

HEARTBEAT = 5.0  # seconds between signs of life
DEAD_AFTER = 60.0  # seconds of silence after which a lease is taken over


class Leases:
    """Claims by key, one file each; a file's time is its owner's sign of life.

    Args:
        folder: Where the files are, shared by all processes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: set[str] = set()
        self._beating: threading.Thread | None = None

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim a step for this process; yield False if a living process is at work on it."""
        path = self.folder / key
        token = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        with saving(self.folder), self._book():
            free = _is_free(path)
            if free:
                path.write_text(token)
        if not free:
            yield False
            return
        self._held.add(key)
        self._start_heartbeat()
        try:
            yield True
        finally:
            self._held.discard(key)
            with self._book():
                if path.is_file() and path.read_text() == token:
                    path.unlink()

    @contextmanager
    def _book(self) -> Iterator[None]:
        # Looking at a lease and taking it over must be one act.
        with (self.folder / ".book").open("w") as book:
            fcntl.flock(book, fcntl.LOCK_EX)
            yield

    def _start_heartbeat(self) -> None:
        if self._beating is None:
            self._beating = threading.Thread(target=self._beat, daemon=True)
            self._beating.start()

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT)
            for key in tuple(self._held):
                try:
                    os.utime(self.folder / key)
                except OSError:
                    continue  # given back in between


def _is_free(lease: Path) -> bool:
    try:
        host, text, _ = lease.read_text().split()
        pid, age = int(text), time.time() - lease.stat().st_mtime
    except (FileNotFoundError, ValueError):  # given back, or never written to its end
        return True
    if age > DEAD_AFTER:
        return True
    return host == socket.gethostname() and not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
