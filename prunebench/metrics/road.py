"""ROAD: does removing what the map points at hurt more than removing the rest?

Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale
from prunebench.seeding import derive

if TYPE_CHECKING:
    from torch import Tensor

Percentage = Annotated[float, Field(gt=0, lt=100)]


class Road(Metric):
    """Confidence once the least relevant pixels are imputed, less that for the most relevant."""

    random: ClassVar[bool] = True
    reads: ClassVar[tuple[Reading, ...]] = ("network", "images", "maps")
    higher_is_better: ClassVar[bool | None] = True
    gives: ClassVar[Mapping[str, Scale]] = {
        "road": Scale("quality", (-0.5, 0.5)),
        "road_morf": Scale("quality", (0, 1), main=False),
        "road_lerf": Scale("quality", (0, 1), main=False),
    }
    spelling: ClassVar[Mapping[str, str]] = {"road": "ROAD"}

    percentages: tuple[Percentage, ...] = Field(
        (10, 20, 30, 40, 50, 60, 70, 80, 90),
        min_length=1,
        description="percentages of the pixels that are removed, averaged over",
    )
    noise: float = Field(
        0.01,
        ge=0,
        description="standard deviation of the noise added to imputed pixels, after normalisation",
    )

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return ``road`` in [-1/2, 1/2], and its parts, for each image.

        ``road_morf`` and ``road_lerf`` are the mean confidences in [0, 1] with the most and the
        least relevant pixels removed; ``road`` is half their difference.
        """
        import torch

        from prunebench.metrics.perturbation import find_constant, rank_pixels

        maps = evidence.maps
        morf, lerf = torch.full((2, len(maps)), torch.nan, dtype=torch.float64, device=maps.device)
        for where, images in evidence.images():
            rank = rank_pixels(maps[where])
            # Counted from the other end of the same order, so that ties are no one's favour.
            for values, order in ((morf, rank), (lerf, maps[0].numel() - 1 - rank)):
                values[where] = self._confidence_left(evidence, where, images, order)
            evidence.progress(where.stop / len(maps), f"{where.stop} of {len(maps)} images")
        morf, lerf = (values.masked_fill(find_constant(maps), torch.nan) for values in (morf, lerf))
        return {"road": (lerf - morf) / 2, "road_morf": morf, "road_lerf": lerf}

    def _confidence_left(
        self, evidence: Evidence, where: slice, images: Tensor, order: Tensor
    ) -> Tensor:
        """Return confidences without the order's first pixels, averaged over percentages, b."""
        import torch

        from prunebench.metrics.confidence import confidence
        from prunebench.metrics.imputation import impute
        from prunebench.networks.evaluation import predict

        noise = self.noise * self._noise(evidence.seed, where.start, images)
        pixels = order[0].numel()
        found = []
        for percentage in self.percentages:
            # One pixel at least stays: there would be nothing to impute from.
            removed = order < min(round(percentage / 100 * pixels), pixels - 1)
            imputed = impute(images, removed)
            noisy = torch.where(removed[:, None], imputed + noise, imputed)
            logits = predict(evidence.network.module, noisy)
            found.append(confidence(logits, evidence.classes[where]))
        return torch.stack(found).mean(0)

    def _noise(self, seed: int, first: int, images: Tensor) -> Tensor:
        """Return normal noise, b×channels×H×W; each image's own, whatever is removed of it."""
        import torch

        drawn = [
            torch.randn(
                image.shape,
                generator=torch.Generator().manual_seed(derive(seed, "road", first + i)),
            )
            for i, image in enumerate(images)
        ]
        return torch.stack(drawn).to(images)
