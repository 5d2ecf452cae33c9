"""Size: the bytes that storing a network takes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, ClassVar

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor

# The level of zip files by default; compressed sizes are comparable at one level only.
LEVEL = 6


class Size(Metric):
    """Bytes of the network's state as a safetensors file, plain and zipped.

    Zeros take as much room as other numbers until the file is zipped: the zipped size is what
    unstructured sparsity really saves. Masks are not stored: the zeros hold what they say.
    """

    reads: ClassVar[tuple[Reading, ...]] = ("network",)
    higher_is_better: ClassVar[bool | None] = False
    unit: ClassVar[str] = "bytes"
    gives: ClassVar[Mapping[str, Scale]] = {
        "size_bytes": Scale("memory", (0, inf), whole=True),
        "size_zipped_bytes": Scale("memory", (0, inf), whole=True, depends_on_zeros=True),
    }

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``size_bytes`` and ``size_zipped_bytes``."""
        from safetensors.torch import save

        state = evidence.network.module.state_dict()
        # Copies, since safetensors refuses tensors that share memory.
        stored = save({name: tensor.cpu().contiguous().clone() for name, tensor in state.items()})
        zipped = zlib.compress(stored, LEVEL)
        return {"size_bytes": float(len(stored)), "size_zipped_bytes": float(len(zipped))}
