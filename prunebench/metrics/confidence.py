"""How sure a network is of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def confidence(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the softmax probability of one class an image, in float64.

    Args:
        logits: N×K.
        classes: The class asked about in each image, N.

    Returns:
        N probabilities in [0, 1]; NaN where a logit is.
    """
    chosen = classes.to(logits.device).unsqueeze(1)
    return logits.double().softmax(1).gather(1, chosen).squeeze(1)
