"""One round of iterative pruning: chosen on the recovered network, removed from the rewound one."""

from __future__ import annotations

import copy
import math
from typing import Literal

from torch import nn

from prunebench.errors import RequestError
from prunebench.networks.counting import find_prunable_weights
from prunebench.networks.network import make_masks_permanent
from prunebench.plugins.context import Context
from prunebench.pruners.filters.channels import choose_channels, cut_and_check, predict_removed
from prunebench.pruners.filters.coupling import trace
from prunebench.pruners.filters.filter_pruner import FilterPruner
from prunebench.pruners.weights.mask_pruner import MaskPruner
from prunebench.pruners.weights.masks import apply_layer_masks


def prepare_rewound(network: nn.Module, rewind: str | int, context: Context) -> nn.Module:
    """Return the network that a round removes from: the recovered one's zeros, earlier values.

    After the first round these are the values of the last round's network before its recovery,
    which has the recovered network's zeros and sizes.

    Args:
        network: The recovered network.
        rewind: ``none``, ``trained``, or epochs, whose weights are prepared.
        context: As for ``compress``.

    Returns:
        A network of its own, buffers (such as BatchNorm's statistics) rewound as well.
    """
    if rewind == "none":
        return copy.deepcopy(network)
    if context.origin is not None and (context.round or 1) > 1:
        found = copy.deepcopy(context.origin)
    else:
        found = copy.deepcopy(context.baseline)
        if rewind != "trained":
            found.load_state_dict(dict(context.prepared["earlier-weights"]))
    make_masks_permanent(found)
    return found.eval()


def compute_next_level(
    network: nn.Module, fraction: float, rounding: Literal["openlth", "nearest"]
) -> float:
    """Return the fraction of all weights that is zero after a round, with those zero already.

    Args:
        network: The recovered network.
        fraction: Part of the n weights left that the round takes.
        rounding: ``openlth``: ceil(fraction·n) + 1 of them, since that library takes the weight at
            its threshold too; ``nearest``: the nearest number.

    Raises:
        RequestError: That is none of the weights left, or all of them.
    """
    weights = find_prunable_weights(network)
    total = sum(weight.numel() for weight in weights)
    left = sum(int(weight.count_nonzero()) for weight in weights)
    share = fraction * left
    count = math.ceil(share) + 1 if rounding == "openlth" else round(share)
    if not 0 < count < left:
        raise RequestError(
            f"{left} weights are left, of which a round would take {min(count, left)}; fewer "
            "'rounds' or another 'fraction' leave some"
        )
    return (total - left + count) / total


def mask_rewound(
    method: MaskPruner, network: nn.Module, level: float, rewound: nn.Module, context: Context
) -> nn.Module:
    """Mask the rewound network by the scores of the recovered one."""
    return apply_layer_masks(rewound, method.masks(network, level, context))


def cut_rewound(
    method: FilterPruner, network: nn.Module, level: float, rewound: nn.Module, context: Context
) -> nn.Module:
    """Cut filters out of the rewound network by their importance in the recovered one.

    Raises:
        RequestError: Nothing can be removed without emptying a layer, or without removing much
            more than the level.
    """
    importance = method.importance(network, context)
    graph = trace(network, context.example)
    chosen = choose_channels(network, graph, level, importance, context, method.selection)
    if not chosen:
        raise RequestError(
            f"no filter can be removed: even one would be more than {level:.1%} of the "
            f"{method.target}, or its layer's last"
        )
    target = method.target
    expected = predict_removed(network, graph, chosen, target, context)
    cut_and_check(rewound, trace(rewound, context.example), chosen, expected, target, context)
    return rewound
