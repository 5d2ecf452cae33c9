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
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunebench.store.checkpoints import Scratch
from prunebench.store.digests import Digests
from prunebench.store.leases import DEAD_AFTER, Leases
from prunebench.store.writing import StoreError, saving, separate, write_files

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1


@dataclass(frozen=True)
class Artefact:
    """A step's result.

    Attributes:
        key: The step's key.
        kind: The step's kind.
        data: JSON data.
        measured: Times and the like, which differ from run to run.
        folder: Where it lies.
    """

    key: str
    kind: str
    data: dict[str, Any]
    measured: dict[str, Any]
    folder: Path

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The result's tensors."""
        from safetensors.torch import load_file

        path = self.folder / "tensors.safetensors"
        return load_file(path) if path.is_file() else {}


class Store:
    """A folder of results by key; it is made where there is none.

    Args:
        root: Its folder.

    Raises:
        StoreError: It cannot be written, or a newer version made it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._leases = Leases(self.root / "leases")
        if self.root.resolve() == Path.cwd():
            raise StoreError("the current folder cannot be the store", where=f"--store {root}")
        with saving(self.root):
            for folder in ("artefacts", "scratch", "leases", "failures", "records"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            header = self.root / "store.json"
            if not header.exists():
                write_files({header: json.dumps({"schema": SCHEMA})})
            (self.root / f"leases/.probe-{os.getpid()}").touch()
            (self.root / f"leases/.probe-{os.getpid()}").unlink()
        try:
            found = int(json.loads(header.read_text())["schema"])
        except (ValueError, KeyError, TypeError, OSError):
            raise StoreError("is not a store", where=str(header)) from None
        if found > SCHEMA:
            raise StoreError(
                f"has schema {found}; this version reads up to {SCHEMA}: upgrade prunebench",
                where=str(header),
            )

    @property
    def digests(self) -> Digests:
        """Digests of data files, remembered in this store."""
        with saving(self.root):
            return Digests(self.root / "digests.sqlite")

    # --- artefacts ---------------------------------------------------------------------------

    def folder(self, key: str) -> Path:
        """Return where a key's artefact lies or would lie."""
        return self.root / "artefacts" / key[:2] / key

    def stored_keys(self) -> set[str]:
        """Return all keys in the store, listed once."""
        return {
            entry.name
            for shelf in os.scandir(self.root / "artefacts")
            if len(shelf.name) == 2
            for entry in os.scandir(shelf.path)
            if not entry.name.startswith(".")  # being written, or left half written
        }

    def has(self, key: str) -> bool:
        """Tell whether a key's artefact is there."""
        return (self.folder(key) / "artefact.json").is_file()

    def read(self, key: str) -> Artefact:
        """Read an artefact.

        Raises:
            StoreError: It is damaged; the message says how to be rid of it.
        """
        folder = self.folder(key)
        try:
            content = json.loads((folder / "artefact.json").read_text(encoding="utf-8"))
            for name, size in content["sizes"].items():
                if (folder / name).stat().st_size != size:
                    raise ValueError(f"{name} is incomplete")
            return Artefact(key, content["kind"], content["data"], content["measured"], folder)
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"artefact is damaged ({error}); `prunebench store rm {key}` removes it",
                where=str(folder),
            ) from None

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
        from safetensors.torch import save

        final = self.folder(key)
        beside = final.parent / f".{key}-{uuid.uuid4().hex}"
        with saving(final):
            final.parent.mkdir(exist_ok=True)
            beside.mkdir()
            try:
                sizes = {}
                if tensors:
                    blob = save(separate(tensors))
                    (beside / "tensors.safetensors").write_bytes(blob)
                    sizes["tensors.safetensors"] = len(blob)
                content = {
                    "key": key,
                    "kind": kind,
                    "data": dict(data),
                    "measured": dict(measured),
                    "sizes": sizes,
                }
                (beside / "artefact.json").write_text(json.dumps(content, sort_keys=True))
                try:
                    beside.rename(final)
                except OSError as error:
                    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                        return False
                    raise
            finally:
                shutil.rmtree(beside, ignore_errors=True)
            seconds = measured.get("seconds")
            line = json.dumps({"key": key, "kind": kind, "name": name, "seconds": seconds})
            with (self.root / "journal.jsonl").open("a") as journal:
                journal.write(line + "\n")
        shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)
        (self.root / "failures" / f"{key}.json").unlink(missing_ok=True)
        return True

    def remove(self, key: str) -> None:
        """Remove an artefact, and what is left of attempts at it."""
        gone = self.folder(key).parent / f".{key}-{uuid.uuid4().hex}"
        if self.folder(key).exists():
            self.folder(key).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)

    def collect(self) -> int:
        """Remove what killed processes left half written; return how much there was."""
        left = [
            entry
            for shelf in (self.root / "artefacts").iterdir()
            for entry in shelf.iterdir()
            if entry.name.startswith(".") and time.time() - entry.stat().st_mtime > DEAD_AFTER
        ]
        left += [entry for entry in (self.root / "scratch").iterdir() if self.has(entry.name)]
        for entry in left:
            shutil.rmtree(entry, ignore_errors=True)
        return len(left)

    def times(self) -> dict[tuple[str, str], float]:
        """Return mean seconds of past steps, by kind and plugin name."""
        sums: dict[tuple[str, str], list[float]] = {}
        journal = self.root / "journal.jsonl"
        for line in journal.read_text().splitlines() if journal.is_file() else ():
            try:
                entry = json.loads(line)
                sums.setdefault((entry["kind"], entry["name"]), []).append(float(entry["seconds"]))
            except (ValueError, KeyError, TypeError):
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
        return [json.loads(path.read_text()) for path in found]

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
