"""What all methods share that score filters beforehand, from what the network does with images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.filter_pruner import FilterPruner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.channels import Importance


class FilterScores(Preparation):
    """Scores of all filters, from training images; all levels of a method share them."""

    name: ClassVar[str] = "scores"
    random: ClassVar[bool] = True

    images: int = Field(512, ge=1, description="training images looked at")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Score the filters.

        Returns:
            By layer name, a score for each output channel; the lowest are removed. Scores of
            different layers should be comparable, such as multiples of their layer's mean. Other
            tensors may be kept beside them, named PREFIX/LAYER.
        """
        raise NotImplementedError


class ScorePruner(FilterPruner):
    """Removes the filters of lowest score; the scores are computed once for all levels."""

    random: ClassVar[bool] = True

    part: ClassVar[str] = ""
    """Where methods share a preparation: the PREFIX/ of this one's scores."""

    images: int = Field(512, ge=1, description="training images looked at")

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the prepared scores; filters that go together have their mean."""
        from prunebench.pruners.filters.feature_maps import make_importance

        scores = {
            name.removeprefix(self.part): each
            for name, each in context.prepared["scores"].items()
            if name.startswith(self.part)
        }
        return make_importance(scores, network)


class FeaturePruner(ScorePruner):
    """Removes the filters whose feature maps score lowest."""

    def check(self, network: nn.Module, context: Context) -> None:
        """Refuse a network whose feature maps cannot be read.

        Raises:
            RequestError: torch.fx cannot follow the network's code.
        """
        from prunebench.pruners.filters.feature_maps import FeatureReader

        super().check(network, context)
        FeatureReader(network)
