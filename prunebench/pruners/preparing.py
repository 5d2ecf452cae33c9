"""What a compression method prepares, computed at once and kept in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from prunebench.pruners.pruner import Context, Preparation

if TYPE_CHECKING:
    from torch import Tensor, nn


def prepared(preparations: Iterable[Preparation], network: nn.Module, context: Context) -> Context:
    """Computes preparations for a network as it is now, outside of any store.

    A suite computes them once, from the baseline. A method that compresses step by step needs them
    of each network on the way.

    Args:
        preparations: What is needed; what these need themselves is computed first.
        network: The network; it is left as it is.
        context: As for ``compress``.

    Returns:
        The context with all of them in ``prepared``.
    """
    found: dict[str, Mapping[str, Tensor]] = {}
    for preparation in preparations:
        within = prepared(preparation.needs(), network, context)
        found[preparation.name] = preparation.compute(copy.deepcopy(network), within)
    return replace(context, prepared={**context.prepared, **found})
