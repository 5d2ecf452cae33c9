"""Checkpoints of a long step: a killed training goes on from its last whole epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.store.writing import saving, separate, write_files

if TYPE_CHECKING:
    from torch import Tensor


class Scratch:
    """The last checkpoint of a step."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "checkpoint.safetensors"

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Keep this state, replacing the last one."""
        from safetensors.torch import save

        with saving(self.file):
            self.file.parent.mkdir(exist_ok=True)
            write_files({self.file: save(separate(state))})

    def load(self) -> dict[str, Tensor] | None:
        """Return the state kept by an interrupted attempt."""
        from safetensors.torch import load_file

        try:
            return load_file(self.file) if self.file.is_file() else None
        except Exception:  # cut short by a power failure: the step begins anew
            self.file.unlink(missing_ok=True)
            return None
