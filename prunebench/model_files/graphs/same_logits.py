"""A converted network is held to what it was converted from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from prunebench.errors import RequestError

TOLERANCE = 1e-4
"""Largest difference of a logit, as a share of the largest."""
SEED = 19


def check_logits(
    network: nn.Module,
    original: Callable[[Tensor], Any],
    example: Tensor,
    called: str,
    remedy: str,
    tolerance: float = TOLERANCE,
) -> str:
    """Hold a converted network to its original on random images, and to batches of any size.

    Args:
        network: The converted network.
        original: Images in, what the original gives, out. It may take batches of the example's
            size only.
        example: Images B×C×H×W of the size and number format that the original takes.
        called: The original, in words.
        remedy: What to do where the network takes batches of one size only.
        tolerance: Largest difference that is allowed.

    Returns:
        How far they differ, in words.

    Raises:
        RequestError: They differ by more, or a batch of another size fails or gives other logits.
    """
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(example.shape, generator=generator).to(example.dtype)
    with torch.no_grad():
        try:
            wanted = _join(original(images.clone()))
            found = _join(network(images.clone()))
        except Exception as error:  # of any operator that the file gives odd arguments
            raise RequestError(
                f"cannot be converted: it fails on random images ({_shorten(error)})"
            ) from None
        largest = wanted.abs().max().clamp(min=1e-6)
        difference = float((found - wanted).abs().max() / largest)
        if found.shape != wanted.shape or not difference <= tolerance:
            raise RequestError(
                f"cannot be converted: the converted network's logits differ from those of {called}"
                f" by {difference:.1e} of the largest"
            )
        others = torch.randn(3, *images.shape[1:], generator=generator).to(images.dtype)
        _check_batches(network, others, float(tolerance * largest), len(images), remedy)
    within = f" within {difference:.0e} of the largest logit" if difference else ""
    return f"equal to {called}{within}"


def _check_batches(
    network: nn.Module, images: Tensor, allowed: float, exported: int, remedy: str
) -> None:
    """Run several images at once and one at a time."""
    try:
        together = tree_leaves(network(images.clone()))[0]
        alone = torch.cat([tree_leaves(network(each[None].clone()))[0] for each in images])
    except Exception as error:  # as above
        raise RequestError(
            f"takes batches of {exported} images only ({_shorten(error)}); {remedy}"
        ) from None
    if together.shape != alone.shape or not (together - alone).abs().max() <= allowed:
        raise RequestError(
            "gives an image other logits where others are in the batch, as in training mode; "
            f"call model.eval() before it is exported, and {remedy}"
        )


def _shorten(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _join(output: Any) -> Tensor:
    """Return all numbers that a network gives."""
    return torch.cat([leaf.flatten() for leaf in tree_leaves(output) if isinstance(leaf, Tensor)])
