"""The sensitivity of a network to the pruning of one layer alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from pydantic import Field, SerializeAsAny

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class LayerPruner(Protocol):
    """A method that prunes one layer at a time: the part of ``RankingPruner`` that is used here."""

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for what the ranking needs that is computed once."""

    def prune_layers(
        self, network: nn.Module, context: Context, steps: int
    ) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
        """Prune one layer at a time."""


class Sensitivity(Preparation):
    """The rise of the loss when a method removes 0, 1/m, ... (m−1)/m of one layer and no other.

    Li, Kadav, Durdanovic, Samet and Graf 2017, section 3.2, measure it by accuracy; the loss on
    training images also tells small damages apart.
    """

    name: ClassVar[str] = "sensitivity"
    key_name: ClassVar[str] = "prunebench.pruners.sensitivity:Sensitivity"
    random: ClassVar[bool] = True

    pruner: SerializeAsAny[Pruner] = Field(description="the method, a MaskPruner or FilterPruner")
    steps: int = Field(8, ge=2, description="m: fractions measured of each layer")
    images: int = Field(512, ge=1, description="training images the loss is measured on")

    def needs(self) -> tuple[Preparation, ...]:
        """Ask for what the method's own ranking needs."""
        return self._copy_pruner().preparations()

    def changed_parameters(self) -> dict[str, Any]:
        """Return the method's class, version and parameters, since several share this class."""
        method = [self.pruner.key_name, self.pruner.version]
        parameters = self.pruner.changed_parameters()
        # How the level is spread and counted does not change the ranking within a layer.
        own = {k: v for k, v in parameters.items() if k not in ("scope", "rates", "target")}
        return super().changed_parameters() | {"pruner": [*method, own]}

    def _copy_pruner(self, **changes: Any) -> LayerPruner:
        return cast("LayerPruner", self.pruner.model_copy(update=changes))

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Measure, by layer name, the rise of the mean cross-entropy, m."""
        import torch

        pairs = [*context.batches(self.images, 256)]
        before = _mean_loss(network.eval(), pairs)
        found: dict[str, list[float]] = {}
        plain = self._copy_pruner(scope="global", rates={})
        cuts = list(plain.prune_layers(network, context, self.steps))
        for done, (name, prune) in enumerate(cuts, start=1):
            found.setdefault(name, [0.0]).append(_mean_loss(prune(), pairs) - before)
            context.progress(done / len(cuts), f"layer {name}")
        return {name: torch.tensor(rises, dtype=torch.float64) for name, rises in found.items()}


def _mean_loss(module: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> float:
    import torch
    from torch.nn import functional as F

    with torch.no_grad():
        total = sum(
            float(F.cross_entropy(module(inputs), labels, reduction="sum"))
            for inputs, labels in pairs
        )
    return total / sum(len(labels) for _, labels in pairs)
