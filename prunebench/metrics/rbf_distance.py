"""Distance of explanations that are one centre and one width an image."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, ClassVar

from prunebench.metrics.metric import Evidence, Metric, NotApplicable, Reading
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor

NUMBERS = ("centre_row", "centre_column", "width")


class RbfDistance(Metric):
    """How far the centre and the width of what a network looks at have moved.

    ‖C_x − C'_x‖ with C = (c_z, c_t, σ), the second term of objective 10 of Ganjdanesh, Gao and
    Huang 2022 before its square, over the image's diagonal.
    """

    reads: ClassVar[tuple[Reading, ...]] = ("baseline_maps", "maps")
    higher_is_better: ClassVar[bool | None] = False
    gives: ClassVar[Mapping[str, Scale]] = {
        "rbf_distance": Scale("distance", (0, inf)),
        "rbf_centre_distance": Scale("distance", (0, inf), main=False),
        "rbf_width_ratio": Scale("distance", (0, inf), main=False),
    }

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Compare the numbers that an explanation method tells of each map.

        Returns:
            ``rbf_distance`` and, of the centres alone, ``rbf_centre_distance``, both from 0, over
            the image's diagonal; and ``rbf_width_ratio``, the compressed network's width over the
            baseline's, above 0.

        Raises:
            NotApplicable: The method's maps are not described by a centre and a width.
        """
        import torch
        from torch.linalg import vector_norm

        before, after = evidence.baseline_numbers, evidence.numbers
        if not all(name in numbers for numbers in (before, after) for name in NUMBERS):
            raise NotApplicable("the maps of this method are not one centre and one width")
        diagonal = vector_norm(torch.tensor(evidence.maps.shape[1:], dtype=torch.float64))
        x, y = (
            torch.stack([numbers[name].double() for name in NUMBERS], 1)
            for numbers in (before, after)
        )
        return {
            "rbf_distance": vector_norm(y - x, dim=1) / diagonal.to(x),
            "rbf_centre_distance": vector_norm((y - x)[:, :2], dim=1) / diagonal.to(x),
            "rbf_width_ratio": y[:, 2] / x[:, 2],
        }
