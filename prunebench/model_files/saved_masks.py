"""Masks that torch.nn.utils.prune and torch.ao's sparsifiers leave in a state dict."""

from __future__ import annotations

from torch import Tensor

from prunebench.errors import RequestError

PRUNE = ("{stem}_orig", "{stem}_mask")
"""Names that torch.nn.utils.prune gives a weight and its mask."""
SPARSIFIER = ("{before}parametrizations.{own}.original", "{before}parametrizations.{own}.0.mask")
"""Names that torch.ao.pruning's sparsifiers give them."""


def apply_saved_masks(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Multiply weights by their masks, and give them their plain names.

    Raises:
        RequestError: A mask and what it masks are of different shapes.
    """
    folded = dict(state)
    for name in state:
        if (stem := _find_stem(name)) is None:
            continue
        before, dot, own = stem.rpartition(".")
        for form in (PRUNE, SPARSIFIER):
            weight, mask = (each.format(stem=stem, before=before + dot, own=own) for each in form)
            if mask == name and weight in state:
                _check_shapes(state, mask, weight, where)
                folded[stem] = folded.pop(weight) * folded.pop(mask)
    return folded


def _find_stem(name: str) -> str | None:
    """Return the plain name of what a mask of this name masks; None if it names no mask."""
    if name.endswith("_mask"):
        return name.removesuffix("_mask")
    before, found, own = name.removesuffix(".0.mask").rpartition("parametrizations.")
    return before + own if found and name.endswith(".0.mask") else None


def _check_shapes(state: dict[str, Tensor], mask: str, weight: str, where: str) -> None:
    shape, wanted = tuple(state[mask].shape), tuple(state[weight].shape)
    if shape != wanted:
        raise RequestError(f"the mask {mask!r} is {shape}, and what it masks {wanted}", where=where)
