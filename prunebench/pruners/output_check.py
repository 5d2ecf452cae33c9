"""Checks that a network does its task: one image in, one logit for each class out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.classifier import UNFIT, describe_dependence, make_classifier
from prunebench.networks.shared_weights import make_twin


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
    except (*UNFIT, TypeError) as error:
        raise RequestError(
            f"{which} cannot take images of shape {tuple(example.shape[1:])}: {error}"
        ) from error
    shape = tuple(getattr(found, "shape", ()))
    if shape != (1, classes):
        raise RequestError(
            f"{which} gives an output of shape {shape} for one image, expected {(1, classes)}: "
            "one logit for each class"
        )


def check_network(module: nn.Module, example: Tensor, classes: int, which: str) -> None:
    """Check a network that comes from outside: its outputs, and that they are the image's own.

    Args:
        module: The network; it is left in evaluation mode.
        example: One normalised input, 1×C×H×W, of which nothing but the shape counts.
        classes: Logits expected.
        which: Names the network in the message, such as ``"the student 'resnet20'"``.

    Raises:
        RequestError: It does not run, cannot be copied, its output is not 1×classes, or it depends
            on chance, on other images of the batch, or on images seen before.
    """
    check_outputs(module, example, classes, which)
    tried = make_twin(module)
    draw = torch.Generator().manual_seed(0)
    for parameter in tried.parameters():
        if not parameter.any():  # what begins with zeros would hide what is before it
            drawn = torch.randn(parameter.shape, generator=draw)
            parameter.data = drawn.mul(0.1).to(parameter)
    image = torch.randn(example.shape, generator=draw).to(example)
    if depends := describe_dependence(make_classifier(tried, image), image):
        raise RequestError(
            f"{which} does not answer by the image alone; its outputs depend on {depends}"
        )
