"""Network slimming: filters whose BatchNorm scale training drives towards zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.errors import RequestError
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.objective import Objective
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.filters.sparse_training import SparselyTrained, SparseWeights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.networks import Network
    from prunebench.pruners.filters.channels import Importance

PLAIN = 0.05
"""Of its layer's mean, by which the training must move one scale at least to rank filters anew."""


class SlimmedWeights(SparseWeights):
    """The baseline trained on with an L1 penalty on the scales of its BatchNorm layers."""

    key_name: ClassVar[str] = "prunebench.pruners.filters.network_slimming:SlimmedWeights"

    penalty: float

    def objective(self, network: nn.Module, context: Context) -> Objective:
        """Return cross-entropy plus penalty·Σ|γ|, whose subgradient is penalty·sign(γ).

        Liu, Li, Shen, Huang, Yan and Zhang 2017, equation 1.
        """
        scales = find_batch_norm_scales(network)

        def penalise(module: nn.Module, passed: float) -> None:
            for scale in scales:
                if scale.grad is not None:
                    scale.grad.add_(scale.detach().sign(), alpha=self.penalty)

        return Objective(on_gradients=penalise)


class NetworkSlimming(SparselyTrained):
    """Removes the filters whose BatchNorm scale is smallest after training with a penalty on it.

    The compressed network starts from the weights of that training. Filters that no BatchNorm
    follows stay.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.network_slimming:NetworkSlimming"
    whole_groups: ClassVar[bool] = True

    penalty: float = Field(
        1e-4,
        ge=0,
        description="λ of the L1 penalty; a step takes about lr·λ off a scale, more with momentum "
        "(lr·λ/(1 − momentum)), so that a short training may need a larger one",
    )
    training: Recipe = Field(
        Recipe(lr=0.1, weight_decay=1e-4, batch_size=64, schedule="cosine", keep="last"),
        description="how the network is trained under the penalty; what is left out stays as here",
    )

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the sparsely trained weights."""
        return (SlimmedWeights(training=self.training, penalty=self.penalty),)

    def check(self, network: nn.Module, context: Context) -> None:
        """Look for BatchNorm layers with scales.

        Raises:
            RequestError: There is none.
        """
        super().check(network, context)
        find_batch_norm_scales(network)

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return |γ| of the BatchNorm layer after a filter; of coupled filters, the mean."""
        import torch_pruning as tp

        find_batch_norm_scales(network)
        found: Importance = tp.importance.BNScaleImportance(group_reduction="mean", normalizer=None)
        return found

    def notes(self, network: Network, context: Context) -> Iterable[str]:
        """Say how far the training under the penalty moved the scales that it ranks by."""
        if (state := context.prepared.get(SparseWeights.name)) is None:
            return
        moved = measure_moved_scales(context.baseline, state)
        if moved < PLAIN:
            yield (
                f"no BatchNorm scale moved by more than {100 * moved:.2g}% of its layer's mean: "
                "plain pruning by BatchNorm scales"
            )
        else:
            yield f"its training moved BatchNorm scales by up to {moved:.0%} of their layer's mean"


def measure_moved_scales(before: nn.Module, state: Mapping[str, Tensor]) -> float:
    """Return how far the BatchNorm scale that moved most did, as a part of its layer's mean |γ|.

    Args:
        before: The network before the training.
        state: Its state dict afterwards.
    """
    chosen = {id(scale) for scale in find_batch_norm_scales(before)}
    scales = {name: p.detach() for name, p in before.named_parameters() if id(p) in chosen}
    return max(
        float((state[name].to(scale) - scale).abs().max() / scale.abs().mean().clamp(min=1e-12))
        for name, scale in scales.items()
    )


def find_batch_norm_scales(module: nn.Module) -> list[Tensor]:
    """Find the scales γ of all BatchNorm layers that have them.

    Raises:
        RequestError: No layer has.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.affine]
    if not layers:
        raise RequestError(
            "network-slimming ranks filters by the scales of BatchNorm layers, and "
            f"{type(module).__name__} has none with scales (affine); l1-filter needs none"
        )
    return [layer.weight for layer in layers]
