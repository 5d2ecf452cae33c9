"""Names in a file as the network has them: without what a training framework put before them."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from prunebench.errors import RequestError

COUNTER = "num_batches_tracked"
"""BatchNorm's counter of batches, which older files lack and evaluation never reads."""


def fit_names(
    state: dict[str, Tensor], own: Collection[str], where: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Choose the entries that are the network's, by their names without a common beginning.

    Args:
        state: As read from the file, such as ``{"model.conv1.weight": ...}``.
        own: The network's own names, such as ``conv1.weight``.
        where: The file, for messages.

    Returns:
        The network's entries by its own names, and the names of the rest. All entries, unchanged,
        where no beginning makes them fit.

    Raises:
        RequestError: Several beginnings do.
    """
    needed = {name for name in own if not name.endswith(COUNTER)}
    if not needed or needed <= state.keys():
        return state, ()
    first = min(needed)
    beginnings = [name.removesuffix(first) for name in sorted(state) if name.endswith(f".{first}")]
    fitting = [at for at in beginnings if all(at + name in state for name in needed)]
    if len(fitting) > 1:
        parts = [at.rstrip(".") for at in fitting]
        raise RequestError(
            f"holds {len(parts)} networks: {', '.join(map(repr, parts))}; choose one, such as "
            f"{where}#{parts[0]}",
            where=where,
        )
    if not fitting:
        return state, ()
    at = fitting[0]
    chosen = {k.removeprefix(at): v for k, v in state.items() if k.startswith(at)}
    return chosen, tuple(name for name in state if not name.startswith(at))
