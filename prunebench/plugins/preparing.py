"""What a method prepares, computed at once and kept in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from prunebench.plugins.context import Context, Preparation, Prepared

if TYPE_CHECKING:
    from torch import Tensor, nn


def compute(preparations: Iterable[Preparation], network: nn.Module, context: Context) -> Prepared:
    """Compute preparations for a network as it is now, outside of any store.

    Args:
        preparations: What is needed; what these need themselves is computed first. Two that ask
            for the same share it, as in a suite.
        network: The network; it is left as it is.
        context: As for ``compress``.

    Returns:
        What each of them computed, those that others need included.
    """
    known: dict[Preparation, Mapping[str, Tensor]] = {}

    def once(preparation: Preparation) -> Mapping[str, Tensor]:
        if preparation not in known:
            needed = {need.name: once(need) for need in preparation.needs()}
            within = replace(context, prepared={**context.prepared, **needed})
            known[preparation] = preparation.compute(copy.deepcopy(network), within)
        return known[preparation]

    for preparation in preparations:
        once(preparation)
    return known


def prepared(preparations: Iterable[Preparation], network: nn.Module, context: Context) -> Context:
    """Compute what a compression method prepares.

    A suite computes it once, from the baseline. A method that compresses step by step needs it of
    each network on the way.

    Args:
        preparations: See ``compute``.
        network: The network; it is left as it is.
        context: As for ``compress``.

    Returns:
        The context with all of them in ``prepared``.
    """
    wanted = tuple(preparations)
    found = compute(wanted, network, context)
    return replace(
        context, prepared={**context.prepared, **{each.name: found[each] for each in wanted}}
    )
