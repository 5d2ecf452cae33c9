"""How much a network suffers when one layer alone is pruned."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field, SerializeAsAny

from prunebench.context import Context, Preparation
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.filter_pruner import FilterPruner
    from prunebench.pruners.weights.mask_pruner import MaskPruner


class Sensitivity(Preparation):
    """The rise of the loss when a method removes 0, 1/m, ... (m−1)/m of one layer and no other.

    Li, Kadav, Durdanovic, Samet and Graf 2017, section 3.2, measure it by accuracy; the loss on
    training images also tells small damages apart.
    """

    name: ClassVar[str] = "sensitivity"
    random: ClassVar[bool] = True

    pruner: SerializeAsAny[Pruner] = Field(description="the method, a MaskPruner or FilterPruner")
    steps: int = Field(8, ge=2, description="m: fractions measured of each layer")
    images: int = Field(512, ge=1, description="training images the loss is measured on")

    def needs(self) -> tuple[Preparation, ...]:
        """What the method's own ranking needs."""
        return self._ranking().preparations()

    def changed_parameters(self) -> dict[str, Any]:
        """The method by its class, version and parameters, since several share this class."""
        kind = type(self.pruner)
        method = [f"{kind.__module__}:{kind.__qualname__}", kind.version]
        parameters = self.pruner.changed_parameters()
        # How the level is spread and counted does not change the ranking within a layer.
        own = {k: v for k, v in parameters.items() if k not in ("scope", "rates", "target")}
        return super().changed_parameters() | {"pruner": [*method, own]}

    def _ranking(self) -> MaskPruner | FilterPruner:
        return cast("MaskPruner | FilterPruner", self.pruner)

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Measures each layer, by layer name: the rise of the mean cross-entropy, m."""
        import torch

        pairs = [*context.batches(self.images, 256)]
        before = _loss(network.eval(), pairs)
        found: dict[str, list[float]] = {}
        cuts = list(self._cuts(network, context))
        for place, (name, pruned) in enumerate(cuts):
            found.setdefault(name, [0.0]).append(_loss(pruned(), pairs) - before)
            context.progress((place + 1) / len(cuts), f"layer {name}")
        return {name: torch.tensor(rises, dtype=torch.float64) for name, rises in found.items()}

    def _cuts(self, network: nn.Module, context: Context) -> Iterator[tuple[str, Any]]:
        """For each layer and fraction, what makes the network without that part of the layer."""
        from prunebench.pruners.filters.filter_pruner import FilterPruner

        plain = self._ranking().model_copy(update={"scope": "global", "rates": {}})
        if isinstance(plain, FilterPruner):
            yield from self._without_channels(plain, network, context)
        else:
            yield from self._without_weights(plain, network, context)

    def _without_channels(
        self, pruner: FilterPruner, network: nn.Module, context: Context
    ) -> Iterator[tuple[str, Any]]:
        from prunebench.pruners.filters.coupling import prunable_channels, silence, trace

        working = copy.deepcopy(network)
        importance = pruner.importance(working, context)
        channels = prunable_channels(
            working,
            trace(working, context.example),
            importance,
            context.fixed_channels,
            pruner.whole_groups,
        )
        for name in dict.fromkeys(channel.layer for channel in channels):
            own = [channel for channel in channels if channel.layer == name]
            for k in range(1, self.steps):
                lowest = own[: round(len(own) * k / self.steps)]

                def pruned(lowest: Any = lowest) -> nn.Module:
                    copied = copy.deepcopy(network)
                    silence(copied, trace(copied, context.example), lowest)
                    return copied

                yield name, pruned

    def _without_weights(
        self, pruner: MaskPruner, network: nn.Module, context: Context
    ) -> Iterator[tuple[str, Any]]:
        import torch

        for name, scores in pruner.scores(copy.deepcopy(network), context).items():
            order = scores.flatten().argsort(stable=True)
            for k in range(1, self.steps):
                lowest = order[: round(len(order) * k / self.steps)]

                def pruned(name: str = name, lowest: Any = lowest) -> nn.Module:
                    copied = copy.deepcopy(network)
                    weight: Any = copied.get_submodule(name).weight
                    with torch.no_grad():
                        weight.view(-1)[lowest] = 0
                    return copied

                yield name, pruned


def _loss(module: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> float:
    import torch
    from torch.nn import functional as F

    with torch.no_grad():
        total = sum(
            float(F.cross_entropy(module(inputs), labels, reduction="sum"))
            for inputs, labels in pairs
        )
    return total / sum(len(labels) for _, labels in pairs)
