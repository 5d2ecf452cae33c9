"""FLOPs by the Sp2PS paper's own equations, for comparison with its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class FlopsSp2ps(Metric):
    """FLOPs of convolution, linear and pooling layers as the Sp2PS paper counts them."""

    reads: ClassVar[tuple[Reading, ...]] = ("network",)
    carries: ClassVar[Literal["portable", "numeric", "hardware"]] = "portable"
    higher_is_better: ClassVar[bool | None] = False
    unit: ClassVar[str] = "FLOPs"
    gives: ClassVar[Mapping[str, Scale]] = {"flops_sp2ps": Scale("operations", (0, inf))}
    spelling: ClassVar[Mapping[str, str]] = {"flops": "FLOPs", "sp2ps": "Sp2PS"}

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``flops_sp2ps`` for one image."""
        from prunebench.metrics.sp2ps_equations import sp2ps_flops

        network = evidence.network
        return {"flops_sp2ps": sum(sp2ps_flops(network.module, network.example()).values())}
