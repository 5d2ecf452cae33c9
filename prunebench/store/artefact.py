"""One artefact: its files, written with digests and checked where they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunebench.store.writing import StoreError, separate

if TYPE_CHECKING:
    from torch import Tensor

ARTEFACT, TENSORS = "artefact.json", "tensors.safetensors"
PARTS = {"kind": str, "data": dict, "measured": dict, "sizes": dict}


@dataclass(frozen=True)
class Artefact:
    """A step's result.

    Attributes:
        key: The step's key.
        kind: The step's kind.
        data: JSON data.
        measured: Times and the like, which differ from run to run.
        folder: Where it lies.
        digests: Of its files' content, by name; none where an older version stored it.
    """

    key: str
    kind: str
    data: dict[str, Any]
    measured: dict[str, Any]
    folder: Path
    digests: dict[str, str] = field(default_factory=dict)

    def damaged(self, reason: object) -> StoreError:
        """Return the error that says what is wrong with it, and how to be rid of it."""
        return _damaged(self.key, self.folder, reason)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The result's tensors.

        Raises:
            StoreError: They are damaged; the message says how to be rid of them.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self.folder / TENSORS
        try:
            blob = path.read_bytes() if path.is_file() else None
            if blob is None:
                return {}
            if self.digests.get(TENSORS, digest := _digest(blob)) != digest:
                raise ValueError(f"{TENSORS} holds something else than was stored")
            return load(blob)
        except (OSError, ValueError, SafetensorError) as error:
            raise self.damaged(error) from None


def write_artefact(
    folder: Path,
    key: str,
    kind: str,
    data: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    measured: Mapping[str, Any],
) -> None:
    """Write an artefact into a folder; see ``Store.commit``."""
    from safetensors.torch import save

    blobs = {TENSORS: save(separate(tensors))} if tensors else {}
    for file, blob in blobs.items():
        (folder / file).write_bytes(blob)
    content = {
        "key": key,
        "kind": kind,
        "data": dict(data),
        "measured": dict(measured),
        "sizes": {file: len(blob) for file, blob in blobs.items()},
        "digests": {file: _digest(blob) for file, blob in blobs.items()},
    }
    content = json.loads(json.dumps(content))  # as it will be read: all names are texts
    (folder / ARTEFACT).write_text(
        json.dumps({**content, "digest": _digest_json(content)}, sort_keys=True)
    )


def read_artefact(key: str, folder: Path) -> Artefact:
    """Read an artefact; see ``Store.read``."""
    try:
        content = _parse((folder / ARTEFACT).read_bytes())
        for name, size in content["sizes"].items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} is incomplete")
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(key, folder, error) from None
    digests = content.get("digests", {})
    return Artefact(key, content["kind"], content["data"], content["measured"], folder, digests)


def _parse(text: bytes) -> dict[str, Any]:
    """Read an artefact's JSON; one that an older version wrote has no digest.

    Raises:
        ValueError: It is no such thing, or not what was written.
    """
    content = json.loads(text)
    for name, kind in PARTS.items():
        if not isinstance(content, dict) or not isinstance(content.get(name), kind):
            raise ValueError(f"{ARTEFACT} has no {name!r}")
    told = content.pop("digest", None)
    if (told is not None or "digests" in content) and told != _digest_json(content):
        raise ValueError(f"{ARTEFACT} holds something else than was stored")
    return dict(content)


def _digest_json(content: dict[str, Any]) -> str:
    return _digest(json.dumps(content, sort_keys=True).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _damaged(key: str, folder: Path, reason: object) -> StoreError:
    return StoreError(
        f"artefact is damaged ({reason}); `prunebench store rm {key}` removes it, and the next run "
        "makes it again",
        where=str(folder),
    )
