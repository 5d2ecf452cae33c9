"""Filters ranked by relevance: how much of the network's decisions comes through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.score_pruner import FilterScores, ScorePruner

if TYPE_CHECKING:
    from torch import Tensor, nn

ExplainedClass = Literal["label", "predicted"]


class FilterRelevance(FilterScores):
    """The share of the relevance of its layer that each filter has.

    Relevance of the explained class's logit is propagated by the rule αβ with α=1 and β=0, and a
    filter's is summed over positions and images (Yeom, Seegerer, Lapuschkin, Binder, Wiedemann,
    Müller and Samek 2021, section 3).
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.lrp:FilterRelevance"

    images: int = Field(10, ge=1, description="training images of each class")
    explained: ExplainedClass = Field("label", description="the class whose logit is propagated")

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Score the filters: by layer name, fractions that sum to 1, C."""
        import torch

        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.balanced_images import draw_balanced
        from prunebench.pruners.filters.relevance import Relevance

        make_masks_permanent(network)
        inputs, labels = draw_balanced(context, self.images)
        relevance = Relevance(network, inputs[:2])
        totals: dict[str, Tensor] = {}
        batches = list(zip(torch.split(inputs, 32), torch.split(labels, 32), strict=True))
        for index, (batch, classes) in enumerate(batches):
            if self.explained == "predicted":
                with torch.no_grad():
                    classes = network(batch).argmax(1)
            for name, found in relevance.propagate(batch, classes).items():
                each = found.abs().double().flatten(2).sum(2) if found.dim() > 2 else found.abs()
                totals[name] = totals.get(name, 0) + each.double().sum(0)
            context.progress((index + 1) / len(batches), "relevance")
        return {name: total / total.sum().clamp(min=1e-30) for name, total in totals.items()}


class Lrp(ScorePruner):
    """Removes the filters through which the least relevance flows.

    Relevance is how much of a logit comes through a filter; each layer's sums to the logit, so
    that a filter is ranked across layers by its share of it.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.lrp:Lrp"
    reads_explanations: ClassVar[bool] = True

    images: int = Field(10, ge=1, description="training images of each class")
    explained: ExplainedClass = Field("label", description="the class whose logit is propagated")

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the relevance of all filters."""
        return (FilterRelevance(images=self.images, explained=self.explained),)
