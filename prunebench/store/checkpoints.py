"""Checkpoints of a long step: a killed training goes on from its last whole epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.store.writing import saving, separate, write_files

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = 32  # bytes, after the tensors


class Scratch:
    """The last checkpoint of a step."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "checkpoint.safetensors"

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Keep this state, replacing the last one."""
        from safetensors.torch import save

        blob = save(separate(state))
        with saving(self.file):
            self.file.parent.mkdir(exist_ok=True)
            write_files({self.file: blob + hashlib.sha256(blob).digest()})

    def load(self) -> dict[str, Tensor] | None:
        """Return the state kept by an interrupted attempt; none of one that is damaged."""
        from safetensors.torch import load

        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            content = b""
        blob, digest = content[:-DIGEST], content[-DIGEST:]
        if hashlib.sha256(blob).digest() == digest:
            return load(blob)
        # Cut short by a power failure, or of an older version: the step begins anew.
        self.file.unlink(missing_ok=True)
        return None
