"""One check that a network still does its task: one image in, one logit for each class out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError


@torch.no_grad()
def check_outputs(module: nn.Module, example: Tensor, classes: int, which: str) -> None:
    """Run the network once, in evaluation mode.

    Args:
        module: The network; it is left in evaluation mode.
        example: One normalised input, 1×C×H×W.
        classes: Logits expected.
        which: Names the network in the message, such as ``"the network after pruning"``.

    Raises:
        RequestError: It does not run, or its output is not 1×classes.
    """
    try:
        found = module.eval()(example)
    except (RuntimeError, ValueError, TypeError) as error:
        raise RequestError(
            f"{which} cannot take images of shape {tuple(example.shape[1:])}: {error}"
        ) from error
    shape = tuple(getattr(found, "shape", ()))
    if shape != (1, classes):
        raise RequestError(
            f"{which} gives an output of shape {shape} for one image, expected {(1, classes)}: "
            "one logit for each class"
        )
