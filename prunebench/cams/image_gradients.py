"""Checks for methods that follow a network's answer back to the pixels of its images."""

from __future__ import annotations

from torch import Tensor

from prunebench.errors import RequestError


def require_gradients(logits: Tensor) -> None:
    """Check that logits depend on their images in a way that can be differentiated.

    Args:
        logits: Of images that require gradients.

    Raises:
        RequestError: They do not.
    """
    if not logits.requires_grad:
        raise RequestError(
            "no gradient reaches the images, since the network's code switches gradients off "
            "(torch.no_grad, inference_mode or detach); explain one without, or choose a method "
            "that starts at the target layer, such as grad-cam"
        )
