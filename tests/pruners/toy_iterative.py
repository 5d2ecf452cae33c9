"""A toy method with preparations, rounds, rewinding and a checkpoint, to try the harness on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class InputMean(Preparation):
    """Mean of each input channel over a few training images: C."""

    name: ClassVar[str] = "toy-input-mean"

    images: int = 4

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        import torch

        inputs = torch.cat([inputs for inputs, _ in context.batches(self.images, 2)])
        return {"mean": inputs.mean((0, 2, 3)).cpu()}


class ActivationMean(Preparation):
    """Mean activation of each channel of the first convolution for the mean input."""

    name: ClassVar[str] = "toy-activation-mean"

    images: int = 4

    def needs(self) -> tuple[Preparation, ...]:
        return (InputMean(images=self.images),)

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        import torch

        mean = context.prepared[InputMean.name]["mean"].to(context.device)
        first = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
        with torch.no_grad():
            maps = first(mean.view(1, -1, 1, 1).expand_as(context.example))
        return {"mean": maps.mean((0, 2, 3)).cpu()}


class ToyLottery(Pruner):
    """Round k removes 20% of the weights that are left and rewinds the others to the baseline.

    The smallest weights go; those of a channel of the first convolution whose mean activation is
    larger weigh more, so that the preparation can be seen in the result.
    """

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "rounds"

    rounds: int = Field(3, ge=1, description="how many rounds there are")
    fraction: float = Field(0.2, gt=0, lt=1, description="part of what is left that a round takes")

    def prepare(self) -> tuple[Preparation, ...]:
        return (ActivationMean(),)

    def round_count(self) -> int:
        return self.rounds

    def level_of_round(self, k: int) -> float:
        return 1 - (1 - self.fraction) ** k

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        from torch.nn.utils import prune

        from prunebench.networks.network import make_masks_permanent

        make_masks_permanent(network)
        masks = context.checkpoint.load()
        if masks is None:
            masks = self._masks(network, context)
            context.checkpoint.save(masks)
        context.progress(0.5, "masks chosen")
        network.load_state_dict(context.baseline.state_dict())
        for name, mask in masks.items():
            prune.custom_from_mask(network.get_submodule(name), "weight", mask.to(context.device))
        context.progress(1.0, "rewound")
        return network

    def _masks(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        import torch

        from prunebench.networks.prunable_layers import find_prunable_layers

        weights = {
            name: m.weight.detach().abs() for name, m in find_prunable_layers(network).items()
        }
        factor = 1 + context.prepared[ActivationMean.name]["mean"].abs().to(context.device)
        first = next(iter(weights))
        scores = weights | {first: weights[first] * factor.view(-1, 1, 1, 1)}
        left = torch.cat([score[score > 0] for score in scores.values()]).sort().values
        threshold = left[round(self.fraction * len(left))]
        return {name: (score >= threshold).float() for name, score in scores.items()}
