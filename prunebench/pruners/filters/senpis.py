"""Filters ranked by what each class loses with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.base import Plugin
from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.score_pruner import FilterScores, ScorePruner
from prunebench.pruners.pruner import Scope

if TYPE_CHECKING:
    from torch import Tensor, nn

Estimate = Literal["removal", "gradient"]
Over = Literal["mean", "max"]


class ClasswiseOptions(Plugin):
    """The options that the method and its preparation have in common."""

    images: int = Field(10, ge=1, description="training images of each class")
    estimate: Estimate = Field(
        "removal", description="measure each filter's removal; or estimate it from the gradient"
    )
    over: Over = Field("mean", description="of the classes; 'max': needed by one is needed")
    sigma: float = Field(
        1.0, description="deviations above the mean similarity from which two filters are alike"
    )
    attenuation: float = Field(
        0.9, gt=0, le=1, description="factor for the less important of two that are alike"
    )


class ClasswiseImportance(ClasswiseOptions, FilterScores):
    """The change of each class's loss when a filter is taken away, over all classes.

    Of filters whose maps are alike for a class, the less important are attenuated for that class
    (Pachón, Ballesteros and Renza 2022).
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.senpis:ClasswiseImportance"

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Score the filters: by layer name, multiples of the layer's mean, C."""
        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.balanced_images import draw_balanced
        from prunebench.pruners.filters import classwise_importance
        from prunebench.pruners.filters.feature_maps import FeatureReader

        make_masks_permanent(network)
        network.eval()
        classes = list(classwise_importance.split_by_class(*draw_balanced(context, self.images)))
        measure = (
            classwise_importance.measure_by_removal
            if self.estimate == "removal"
            else classwise_importance.estimate_by_gradient
        )
        scores = measure(network, classes, context)
        reader = FeatureReader(network)
        for index, (inputs, _) in enumerate(classes):
            for name, maps in reader.read(inputs).maps.items():
                if name in scores and self.attenuation < 1:
                    scores[name][index] = classwise_importance.attenuate_similar(
                        scores[name][index],
                        classwise_importance.compute_similarities(maps),
                        self.sigma,
                        self.attenuation,
                    )
        overall = {
            name: each.mean(0) if self.over == "mean" else each.amax(0)
            for name, each in scores.items()
        }
        return {name: each / each.mean().clamp(min=1e-30) for name, each in overall.items()}


class Senpis(ClasswiseOptions, ScorePruner):
    """Removes the filters that no class needs.

    A filter is taken away, and the loss of each class measured; among filters whose maps are
    alike for a class, the less important count for less. A filter's score is its mean over the
    classes, relative to its layer's.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.senpis:Senpis"

    scope: Scope = Field(
        "layerwise",
        description="the same fraction in every layer, as the authors' code removes it; one "
        "ranking of all filters; Erdős-Rényi-Kernel densities; or by sensitivity",
    )

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the importance of all filters."""
        options = {name: getattr(self, name) for name in ClasswiseOptions.model_fields}
        return (ClasswiseImportance(**options),)
