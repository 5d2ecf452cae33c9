"""Weights removed in a pattern that hardware makes use of: n of every m."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prunebench.errors import RequestError
from prunebench.plugins.context import Context
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class SemiStructured(Pruner):
    """Keeps the n largest of every m consecutive weights along a layer's input channels.

    With 2 of 4, the pattern of Nvidia's sparse tensor cores (Mishra et al. 2021). The groups of m
    have the same output channel and position in the kernel. Layers whose input channels do not
    divide by m, grouped and transposed convolutions stay dense.
    """

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"

    n: int = Field(2, ge=1, description="weights kept of every group")
    m: int = Field(4, ge=2, description="weights in a group")

    @model_validator(mode="after")
    def _some_are_removed(self) -> Self:
        if self.n >= self.m:
            raise RequestError(
                f"'n' is {self.n}, expected less than 'm', {self.m}; else nothing is removed",
                location=("n",),
            )
        return self

    def check(self, network: nn.Module, context: Context) -> None:
        """Refuse a network in which no layer's weights form groups."""
        self._masks(network)

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Mask the network with torch.nn.utils.prune; there is no level.

        Raises:
            RequestError: No layer's weights form groups.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.weights.masks import apply_layer_masks

        make_masks_permanent(network)
        return apply_layer_masks(network, self._masks(network))

    def _masks(self, network: nn.Module) -> dict[str, Tensor]:
        from prunebench.networks.prunable_layers import find_prunable_layers

        masks = {
            name: self._mask(layer.weight.detach())
            for name, layer in find_prunable_layers(network).items()
            if layer.weight.shape[1] % self.m == 0
            and getattr(layer, "groups", 1) == 1
            and not getattr(layer, "transposed", False)
        }
        if not masks:
            raise RequestError(
                f"no layer's input channels divide into groups of {self.m}, so that "
                f"{self.n} of every {self.m} weights could be kept"
            )
        return masks

    def _mask(self, weight: Tensor) -> Tensor:
        """Return 1 at the n largest of each group of m, along the second dimension, else 0."""
        import torch

        # Groups last: O×I×h×w to O×h×w×(I/m)×m.
        channels_last = weight.abs().movedim(1, -1)
        grouped = channels_last.reshape(*channels_last.shape[:-1], -1, self.m)
        largest = grouped.argsort(dim=-1, descending=True, stable=True)[..., : self.n]
        kept = torch.zeros_like(grouped).scatter(-1, largest, 1.0)
        return kept.view(channels_last.shape).movedim(-1, 1).contiguous()
