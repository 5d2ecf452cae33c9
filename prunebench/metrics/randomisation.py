"""Model-parameter randomisation: does the map depend on what the network has learnt?

Adebayo et al. 2018, "Sanity Checks for Saliency Maps".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading
from prunebench.metrics.scale import Scale
from prunebench.seeding import derive

if TYPE_CHECKING:
    from torch import Tensor, nn


class Randomisation(Metric):
    """Likeness of the maps before and after the weights are redrawn, from the output down."""

    random: ClassVar[bool] = True
    reads: ClassVar[tuple[Reading, ...]] = ("network", "images", "maps", "explainer")
    higher_is_better: ClassVar[bool | None] = False
    unnamed_parameters: ClassVar[frozenset[str]] = frozenset({"similarity"})
    gives: ClassVar[Mapping[str, Scale]] = {
        r"randomisation(_cascade)?(_spearman)?": Scale("quality", (-1, 1))
    }

    stages: int = Field(
        4, ge=1, description="equal parts of the layers, randomised one after the other"
    )
    similarity: Literal["ssim", "spearman"] = Field("ssim", description="how two maps are compared")

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Return two values in [-1, 1] for each image.

        ``randomisation`` is the likeness once all layers are randomised, ``randomisation_cascade``
        the mean over the stages on the way there; with Spearman both end in ``_spearman``.
        """
        import torch

        module = evidence.network.copy().module
        layers = layers_from_output(module)
        randomised = 0
        found = []
        for stage in range(1, self.stages + 1):
            upto = ceil(stage * len(layers) / self.stages)
            for i in range(randomised, upto):
                randomise(layers[i], derive(evidence.seed, "randomisation", i))
            randomised = upto
            found.append(self._likeness(evidence, module))
            evidence.progress(stage / self.stages, f"stage {stage} of {self.stages}")
        ending = "" if self.similarity == "ssim" else f"_{self.similarity}"
        return {
            f"randomisation{ending}": found[-1],
            f"randomisation_cascade{ending}": torch.stack(found).mean(0),
        }

    def _likeness(self, evidence: Evidence, module: nn.Module) -> Tensor:
        """Return how alike each map is to the one that the changed network gives, M."""
        import torch

        from prunebench.metrics import maps, similarity

        compare = maps.ssim if self.similarity == "ssim" else similarity.spearman
        own = evidence.maps
        values = torch.full((len(own),), torch.nan, dtype=torch.float64, device=own.device)
        for where, images in evidence.images():
            changed = evidence.explain(
                images, evidence.classes[where], module=module, first=where.start
            ).to(own.device)
            was_zero, is_zero = (m.amax((1, 2)) <= 0 for m in (own[where], changed))
            # A zero map is like nothing; calling it the opposite (-1) would be a reward here.
            values[where] = (
                compare(own[where], changed)
                .masked_fill(is_zero, 0)
                .masked_fill(was_zero, torch.nan)
            )
        return values


def layers_from_output(module: nn.Module) -> list[nn.Module]:
    """Return layers with parameters of their own, last registered first.

    Networks register their layers from input to output, so this starts at the output.
    """
    return [layer for layer in module.modules() if _numbers(layer)][::-1]


def _numbers(layer: nn.Module) -> list[Tensor]:
    """Return a layer's own parameters, and its 8-bit weights where it has such."""
    codes = getattr(layer, "codes", None)
    own: list[Tensor] = [*layer.parameters(recurse=False)]
    return own if codes is None else [codes, *own]


def randomise(layer: nn.Module, seed: int) -> None:
    """Redraw a layer's own parameters from normal distributions, in place.

    Each parameter keeps its mean and standard deviation, and its zeros: what was pruned stays
    pruned, and the scale of the signal stays where no training follows that could restore it.

    Args:
        layer: The layer, whose children stay as they are.
        seed: Of the draw.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in _numbers(layer):
            drawn = torch.randn(parameter.shape, generator=generator).to(parameter.device)
            alive = parameter != 0
            kept = parameter[alive].double()
            if len(kept):
                redrawn = kept.mean() + kept.std(correction=0) * drawn
                if not parameter.is_floating_point():
                    redrawn = redrawn.round().clamp(-127, 127)
                parameter.copy_(torch.where(alive, redrawn.to(parameter), parameter))
