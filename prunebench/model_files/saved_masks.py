"""Masks that torch.nn.utils.prune leaves in a state dict."""

from __future__ import annotations

from torch import Tensor

from prunebench.errors import RequestError


def apply_saved_masks(state: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """Multiply weights by their masks, and give them their plain names.

    Raises:
        RequestError: A mask and what it masks are of different shapes.
    """
    folded = dict(state)
    for name in state:
        stem = name.removesuffix("_mask")
        if stem != name and f"{stem}_orig" in state:
            shape, wanted = tuple(state[name].shape), tuple(state[f"{stem}_orig"].shape)
            if shape != wanted:
                raise RequestError(
                    f"the mask {name!r} is {shape}, and what it masks {wanted}", where=where
                )
            folded[stem] = folded.pop(f"{stem}_orig") * folded.pop(name)
    return folded
