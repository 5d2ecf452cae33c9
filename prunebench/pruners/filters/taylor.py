"""Filters ranked by what the loss would change without them, to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from prunebench.plugins.context import Context, Preparation
from prunebench.pruners.filters.filter_pruner import FilterPruner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.pruners.filters.channels import Importance


class FirstOrderChanges(Preparation):
    """The sums of g·w over every channel's parameters, of each mini-batch; all levels share them.

    g is the gradient of the mini-batch's mean cross-entropy, in evaluation mode.
    """

    name: ClassVar[str] = "first-order-changes"
    key_name: ClassVar[str] = "prunebench.pruners.filters.taylor:FirstOrderChanges"
    random: ClassVar[bool] = True

    images: int
    batch_size: int

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Compute the sums by layer and side as ``sum_by_channel`` does, mini-batches×channels."""
        import torch
        from torch.func import functional_call
        from torch.nn import functional as F

        from prunebench.pruners.filters.channel_sums import sum_by_channel

        network.eval()
        # Tensors of their own over the same numbers: frozen parameters have gradients too.
        weights = {name: p.detach().requires_grad_() for name, p in network.named_parameters()}
        found: list[dict[str, Tensor]] = []
        for inputs, labels in context.batches(self.images, self.batch_size):
            loss = F.cross_entropy(functional_call(network, weights, (inputs,)), labels)
            slopes = torch.autograd.grad(loss, [*weights.values()], materialize_grads=True)
            products = {
                name: weight.detach() * slope
                for (name, weight), slope in zip(weights.items(), slopes, strict=True)
            }
            found.append(sum_by_channel(network, products))
        return {key: torch.stack([sums[key] for sums in found]) for key in found[0]}


class Taylor(FilterPruner):
    """Removes the filters without which the loss would change least, to first order.

    The importance of a set of parameters S is (Σ_S g·w)², the squared first-order change of the
    loss if they all became zero, as a mean over mini-batches (Molchanov, Mallya, Tyree, Frosio and
    Kautz 2019). Scores of all layers are compared as they are.
    """

    key_name: ClassVar[str] = "prunebench.pruners.filters.taylor:Taylor"
    whole_groups: ClassVar[bool] = True
    random: ClassVar[bool] = True

    images: int = Field(1024, ge=1, description="training images the gradients are taken on")
    batch_size: int = Field(32, ge=1, description="images of a mini-batch, whose change is squared")
    group: Literal["readers", "filters", "whole"] = Field(
        "readers",
        description="S: the weights that read a channel (what the paper's gate behind the "
        "normalisation gives); the coupled filters, although a BatchNorm after them makes "
        "something of a filter of zeros; or all of these and the normalisation between them",
    )

    def preparations(self) -> tuple[Preparation, ...]:
        """Ask for the first-order changes."""
        return (FirstOrderChanges(images=self.images, batch_size=self.batch_size),)

    def importance(self, network: nn.Module, context: Context) -> Importance:
        """Return the mean over mini-batches of (Σ g·w)²."""
        from prunebench.pruners.filters.channel_sums import READERS, sum_by_group
        from prunebench.pruners.filters.coupling import FILTERS

        handlers = {"readers": READERS, "filters": FILTERS}.get(self.group)

        def counts(item: Any) -> bool:
            return handlers is None or item.dep.handler in handlers

        change = sum_by_group(context.prepared[FirstOrderChanges.name], network, counts)

        def importance(group: Any) -> Tensor | None:
            changes = change(group)
            return None if changes is None else changes.square().mean(0)

        return importance
