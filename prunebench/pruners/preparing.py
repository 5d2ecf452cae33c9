"""What a compression method prepares, computed at once and kept in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from prunebench.context import Context, Preparation

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
    known: dict[tuple[type, str], Mapping[str, Tensor]] = {}

    def compute(preparation: Preparation) -> Mapping[str, Tensor]:
        # Two that ask for the same share it, as in a suite.
        same = (type(preparation), str(sorted(preparation.changed_parameters().items())))
        if same not in known:
            needed = {need.name: compute(need) for need in preparation.needs()}
            within = replace(context, prepared={**context.prepared, **needed})
            known[same] = preparation.compute(copy.deepcopy(network), within)
        return known[same]

    found = {preparation.name: compute(preparation) for preparation in preparations}
    return replace(context, prepared={**context.prepared, **found})
