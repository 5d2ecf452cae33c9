"""What all methods share that set single weights to zero: from scores to masks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from prunebench.plugins.context import Context
from prunebench.pruners.ranking_pruner import RankingPruner

if TYPE_CHECKING:
    from torch import Tensor, nn


class MaskPruner(RankingPruner):
    """Zeroes the weights of convolutions and linear layers that have the lowest scores.

    The level is the fraction of all those weights (not of biases, nor of normalisation layers)
    that are zero afterwards; weights that are zero already count as removed.
    """

    @property
    def only_ranks(self) -> bool:
        """True if the method only ranks weights, so that others may remove them."""
        return type(self).compress is MaskPruner.compress

    def scores(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Score the weights of every prunable layer; the lowest are removed.

        Args:
            network: The network, in evaluation mode and without masks; leave it as it is.
            context: As for ``compress``.

        Returns:
            By layer name, a score for each entry of its weight, of the weight's shape.
        """
        raise NotImplementedError

    def masks(self, network: nn.Module, level: float, context: Context) -> dict[str, Tensor]:
        """Make the masks of a level, by layer name; the network is left as it is."""
        from prunebench.pruners.weights.masks import mask_lowest

        order = self.order(network, context)
        layerwise = self.scope == "layerwise" and not self.rates
        return mask_lowest(network, level, order, layerwise=layerwise)

    def order(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Return every weight's position in the order of removal, by layer name."""
        from prunebench.networks.prunable_layers import find_prunable_layers
        from prunebench.pruners.distribution import order_removals

        layers = find_prunable_layers(network)
        return order_removals(
            self.scores(network, context),
            self.scope,
            shapes={name: tuple(layer.weight.shape) for name, layer in layers.items()},
            rates=self.rates,
            damage=context.prepared.get("sensitivity"),
        )

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Mask the network with torch.nn.utils.prune.

        Raises:
            RequestError: Nothing would be left of a layer.
        """
        from prunebench.networks.network import make_masks_permanent
        from prunebench.pruners.weights.masks import apply_layer_masks, refuse_collapse

        make_masks_permanent(network)
        masks = self.masks(network.eval(), level, context)
        refuse_collapse(network, masks, level)
        return apply_layer_masks(network, masks)

    def prune_layers(
        self, network: nn.Module, context: Context, steps: int
    ) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
        """Zero the weights of lowest score of one layer at a time."""
        for name, scores in self.scores(copy.deepcopy(network), context).items():
            order = scores.flatten().argsort(stable=True)
            for k in range(1, steps):
                lowest = order[: round(len(order) * k / steps)]
                yield name, partial(_zero_weights, network, name, lowest)


def _zero_weights(network: nn.Module, name: str, indices: Tensor) -> nn.Module:
    import torch

    copied = copy.deepcopy(network)
    weight: Any = copied.get_submodule(name).weight
    with torch.no_grad():
        weight.view(-1)[indices] = 0
    return copied
