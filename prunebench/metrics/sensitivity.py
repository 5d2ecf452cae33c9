"""Max-sensitivity: how far does a map move when the image hardly does?

Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale
from prunebench.seeding import derive

if TYPE_CHECKING:
    from torch import Tensor


class MaxSensitivity(Metric):
    """Largest relative change of the map over a few noisy copies of the image."""

    random: ClassVar[bool] = True
    reads: ClassVar[tuple[Reading, ...]] = ("images", "maps", "explainer")
    higher_is_better: ClassVar[bool | None] = False
    gives: ClassVar[Mapping[str, Scale]] = {"max_sensitivity": Scale("quality", (0, inf))}

    samples: int = Field(10, ge=1, description="noisy copies of each image")
    radius: float = Field(
        0.02, gt=0, description="largest change of a value of the normalised image"
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``max_sensitivity``, from 0, for each image; NaN where the map is zero."""
        import torch

        maps = evidence.maps
        values = torch.full((len(maps),), torch.nan, dtype=torch.float64, device=maps.device)
        for where, images in evidence.images():
            values[where] = self._largest_change(evidence, where, images, maps[where].double())
            evidence.progress(where.stop / len(maps), f"{where.stop} of {len(maps)} images")
        return {"max_sensitivity": values}

    def _largest_change(
        self, evidence: Evidence, where: slice, images: Tensor, maps: Tensor
    ) -> Tensor:
        """Return the maximum over δ of |φ(x + δ) - φ(x)| / |φ(x)| in the Frobenius norm, b."""
        import torch
        from torch.linalg import vector_norm

        generators = [
            torch.Generator().manual_seed(derive(evidence.seed, "max-sensitivity", where.start + i))
            for i in range(len(images))
        ]
        largest = maps.new_zeros(len(maps))
        for _ in range(self.samples):
            drawn = [torch.rand(images[0].shape, generator=own) for own in generators]
            noise = (2 * torch.stack(drawn) - 1) * self.radius
            moved = evidence.explain(
                images + noise.to(images), evidence.classes[where], first=where.start
            )
            change = vector_norm(moved.to(maps) - maps, dim=(1, 2))
            largest = torch.maximum(largest, change)
        size: Tensor = vector_norm(maps, dim=(1, 2))
        return (largest / size).masked_fill(size == 0, torch.nan)
