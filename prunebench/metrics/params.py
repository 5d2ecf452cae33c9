"""Parameters: how many there are and how many are not zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Params(Metric):
    """Counts parameters: all, those that are not zero, and the weights that pruning may remove.

    Prunable weights are those of convolutions and linear layers, without biases.
    """

    reads: ClassVar[tuple[Reading, ...]] = ("network",)
    carries: ClassVar[Literal["portable", "numeric", "hardware"]] = "portable"
    higher_is_better: ClassVar[bool | None] = False
    unit: ClassVar[str] = "parameters"
    gives: ClassVar[Mapping[str, Scale]] = {
        "params": Scale("parameters", (0, inf), whole=True, headline=True),
        "prunable_weights": Scale("parameters", (0, inf), "weights", whole=True, main=False),
        "nonzero_params": Scale(
            "parameters", (0, inf), whole=True, depends_on_zeros=True, main=False
        ),
        "nonzero_prunable_weights": Scale(
            "parameters", (0, inf), "weights", whole=True, depends_on_zeros=True, main=False
        ),
        "density": Scale("parameters", (0, 1), "", depends_on_zeros=True, main=False),
    }

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``params``, ``nonzero_params``, their ratio ``density``, and the weights."""
        from prunebench.networks.counting import find_prunable_weights, list_parameters

        module = evidence.network.module
        parameters = list_parameters(module)
        weights = find_prunable_weights(module)
        total, nonzero = _count(parameters), _count_nonzero(parameters)
        return {
            "params": float(total),
            "nonzero_params": float(nonzero),
            "density": nonzero / total,
            "prunable_weights": float(_count(weights)),
            "nonzero_prunable_weights": float(_count_nonzero(weights)),
        }


def _count(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _count_nonzero(tensors: Sequence[Tensor]) -> int:
    return sum(int(tensor.count_nonzero()) for tensor in tensors)
