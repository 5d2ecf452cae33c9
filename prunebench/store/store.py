"""The store: results by key, whole or absent, shared by any number of processes.

store.json            the store's schema
artefacts/ab/abcd.../ artefact.json, tensors.safetensors
scratch/abcd.../      the last checkpoint of a step under way
leases/abcd...        who is at work on a step; its time is the heartbeat
failures/abcd....json what went wrong at the last attempt
journal.jsonl         one line a commit
digests.sqlite        content digests of data files
records/SUITE/ID.json results for people, made from artefacts
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunebench.input_files import is_file
from prunebench.store.artefact import ARTEFACT, Artefact, read_artefact, write_artefact
from prunebench.store.checkpoints import Scratch
from prunebench.store.digests import Digests
from prunebench.store.leases import DEAD_AFTER, Leases
from prunebench.store.writing import StoreError, saving, write_files

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1


class Store:
    """A folder of results by key.

    Args:
        root: Its folder.
        reading: Whether it is only read: then nothing is written, and where there is no store
            nothing is stored. Without, it is made where there is none.
        trusted: Whether Python code may be run that only the store names.

    Raises:
        StoreError: It cannot be written, or a newer version made it.
    """

    def __init__(self, root: str | Path, *, reading: bool = False, trusted: bool = False) -> None:
        self.root = Path(root)
        self.reading = reading
        self.trusted = trusted
        self._leases = Leases(self.root / "leases")
        header = self.root / "store.json"
        # Not Path.resolve, which raises where links go round.
        if os.path.realpath(self.root) == os.getcwd():
            raise StoreError("the current folder cannot be the store", where=f"--store {root}")
        if not reading:
            self._make(header)
        elif not self.exists:
            return
        try:
            found = int(json.loads(header.read_text())["schema"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, OSError):
            raise StoreError("is not a store", where=str(header)) from None
        if found > SCHEMA:
            raise StoreError(
                f"has schema {found}; this version reads up to {SCHEMA}: upgrade prunebench",
                where=str(header),
            )

    @property
    def exists(self) -> bool:
        """Whether there is a store in its folder."""
        return is_file(self.root / "store.json")

    def _make(self, header: Path) -> None:
        with saving(self.root):
            for folder in ("artefacts", "scratch", "leases", "failures", "records"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            if not header.exists():
                write_files({header: json.dumps({"schema": SCHEMA})})
            (self.root / f"leases/.probe-{os.getpid()}").touch()
            (self.root / f"leases/.probe-{os.getpid()}").unlink()

    @property
    def digests(self) -> Digests:
        """Digests of data files, remembered in this store."""
        cache = self.root / "digests.sqlite"
        if self.reading and not (self.exists and os.access(self.root, os.W_OK)):
            return Digests()
        with saving(self.root):
            return Digests(cache)

    # --- artefacts ---------------------------------------------------------------------------

    def folder(self, key: str) -> Path:
        """Return where a key's artefact lies or would lie."""
        return self.root / "artefacts" / key[:2] / key

    def stored_keys(self) -> set[str]:
        """Return all keys in the store, listed once."""
        return {
            entry.name
            for entry in self._list_entries()
            # Without its last file it is being written, or left half written, or half copied.
            if not entry.name.startswith(".") and self.has(entry.name)
        }

    def _list_entries(self) -> Iterator[Path]:
        """Yield the folders of artefacts, and what else lies among them."""
        for shelf in _list_folder(self.root / "artefacts"):
            if len(shelf.name) == 2:
                yield from _list_folder(shelf)

    def has(self, key: str) -> bool:
        """Tell whether a key's artefact is there."""
        return (self.folder(key) / ARTEFACT).is_file()

    def read(self, key: str) -> Artefact:
        """Read an artefact.

        Raises:
            StoreError: It is damaged; the message says how to be rid of it.
        """
        return read_artefact(key, self.folder(key))

    def commit(
        self,
        key: str,
        kind: str,
        data: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        measured: Mapping[str, Any],
        name: str = "",
    ) -> bool:
        """Store a result: written beside, then renamed, so that it is whole or absent.

        Args:
            key: The step's key.
            kind: The step's kind.
            data: JSON data.
            tensors: Tensors.
            measured: Times and the like.
            name: The plugin's name, for the journal.

        Returns:
            Whether this call stored it; False if it was there already.

        Raises:
            StoreError: It could not be written.
        """
        final = self.folder(key)
        beside = final.parent / f".{key}-{uuid.uuid4().hex}"
        with saving(final):
            final.parent.mkdir(exist_ok=True)
            beside.mkdir()
            try:
                write_artefact(beside, key, kind, data, tensors, measured)
                if not self._put(beside, key):
                    return False
            finally:
                shutil.rmtree(beside, ignore_errors=True)
            seconds = measured.get("seconds")
            line = json.dumps({"key": key, "kind": kind, "name": name, "seconds": seconds})
            with (self.root / "journal.jsonl").open("a") as journal:
                journal.write(line + "\n")
        shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)
        (self.root / "failures" / f"{key}.json").unlink(missing_ok=True)
        return True

    def _put(self, beside: Path, key: str) -> bool:
        """Move an artefact to its place; return False if one is there already."""
        final = self.folder(key)
        for _ in range(2):
            try:
                beside.rename(final)
                return True
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
            if self.has(key):
                return False
            self._clear(final)  # what an interrupted copy left there
        return False

    def _clear(self, path: Path) -> None:
        gone = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        path.rename(gone)
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink()

    def remove(self, key: str) -> None:
        """Remove an artefact, and what is left of attempts at it."""
        if self.folder(key).exists():
            self._clear(self.folder(key))
        shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)

    def collect(self) -> int:
        """Remove what killed processes left half written; return how much there was."""
        found = [e for e in self._list_entries() if e.name.startswith(".") or not self.has(e.name)]
        records = _list_folder(self.root / "records")
        for folder in (self.root, *records):  # files that were written beside their place
            found += [e for e in _list_folder(folder) if e.name.startswith(".") and not e.is_dir()]
        left = [entry for entry in found if time.time() - entry.lstat().st_mtime > DEAD_AFTER]
        left += [entry for entry in _list_folder(self.root / "scratch") if self.has(entry.name)]
        with saving(self.root):
            for entry in left:
                self._clear(entry)
        return len(left)

    def times(self) -> dict[tuple[str, str], float]:
        """Return mean seconds of past steps, by kind and plugin name."""
        sums: dict[tuple[str, str], list[float]] = {}
        journal = self.root / "journal.jsonl"
        text = journal.read_text(errors="replace") if journal.is_file() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                seconds = float(entry["seconds"])
                if math.isfinite(seconds):
                    sums.setdefault((entry["kind"], entry["name"]), []).append(seconds)
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                continue  # the last line of a process killed while it wrote
        return {step: sum(seconds) / len(seconds) for step, seconds in sums.items()}

    # --- failures ----------------------------------------------------------------------------

    def fail(self, key: str, kind: str, message: str, trace: str) -> None:
        """Write down what went wrong; it is no artefact, so the next run tries again."""
        entry = {"key": key, "kind": kind, "message": message, "trace": trace, "time": time.time()}
        with saving(self.root):
            write_files({self.root / "failures" / f"{key}.json": json.dumps(entry)})

    def failures(self) -> list[dict[str, Any]]:
        """Return what went wrong and has not gone right since."""
        found = sorted((self.root / "failures").glob("[0-9a-f]*.json"))
        return [_read_failure(path) for path in found]

    def lease(self, key: str) -> AbstractContextManager[bool]:
        """Claim a step for this process; give False if a living process is at work on it."""
        return self._leases.claim(key)

    # --- scratch and records -----------------------------------------------------------------

    def scratch(self, key: str) -> Scratch:
        """Return the checkpoints of a long step; dropped when its result is stored."""
        return Scratch(self.root / "scratch" / key)

    def record_file(self, suite: str, name: str) -> Path:
        """Return where a record is, or would be."""
        return self.root / "records" / suite / f"{name}.json"

    def write_record(self, suite: str, name: str, text: str) -> Path:
        """Write a record's file, whole, unless it says the same already."""
        path = self.record_file(suite, name)
        content = text.encode()
        with saving(path):
            path.parent.mkdir(exist_ok=True)
            # Replacing a file waits for the disk.
            if not (path.is_file() and path.read_bytes() == content):
                write_files({path: content})
        return path


def _read_failure(path: Path) -> dict[str, Any]:
    """Read what went wrong; of a note that cannot be read, that it did."""
    unknown = {"key": path.stem, "kind": "step", "message": "(the note of it is damaged)"}
    try:
        found = json.loads(path.read_bytes())
        return {**unknown, **found}
    except (OSError, ValueError, TypeError, RecursionError):
        return unknown


def _list_folder(folder: Path) -> list[Path]:
    """List what is in a folder; nothing where there is none."""
    return [Path(entry) for entry in os.scandir(folder)] if folder.is_dir() else []
