"""Multiply-adds: what one image costs, whatever machine computes it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Macs(Metric):
    """Multiply-adds of convolutions and matrix products for one image.

    ``effective_macs`` multiplies each layer's by the share of its weights that are not zero: what
    a perfect sparse engine would compute. Masks of zeros do not make PyTorch faster.
    """

    reads: ClassVar[tuple[Reading, ...]] = ("network",)
    carries: ClassVar[Literal["portable", "numeric", "hardware"]] = "portable"
    higher_is_better: ClassVar[bool | None] = False
    unit: ClassVar[str] = "multiply-adds"
    gives: ClassVar[Mapping[str, Scale]] = {
        "macs": Scale("operations", (0, inf), whole=True, headline=True),
        "flops": Scale("operations", (0, inf), "FLOPs", whole=True, main=False),
        "effective_macs": Scale("operations", (0, inf), depends_on_zeros=True, main=False),
    }
    spelling: ClassVar[Mapping[str, str]] = {"macs": "MACs", "flops": "FLOPs"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``macs``, ``flops`` (twice the macs) and ``effective_macs``."""
        from prunebench.networks.counting import count_effective_macs, count_macs

        network = evidence.network
        by_layer = count_macs(network.module, network.example())
        macs = sum(by_layer.values())
        return {
            "macs": float(macs),
            "flops": 2.0 * macs,
            "effective_macs": count_effective_macs(network.module, by_layer),
        }
