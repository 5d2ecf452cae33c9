"""A network in evaluation mode: its logits and its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from prunebench.data import Normalisation, Split, batches


@contextmanager
def freeze(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without parameter gradients, and back as it was."""
    training = [(layer, layer.training) for layer in module.modules()]
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.eval()
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for layer, flag in training:
            layer.training = flag
        for parameter in trained:
            parameter.requires_grad_(True)


def predict(module: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Return logits of a network in evaluation mode, N×K, on the images' device.

    Args:
        module: The network. It is left as it was found.
        images: Normalised images, N×C×H×W.
        batch_size: Images a batch.
    """
    with freeze(module), torch.no_grad():
        # Copies: a network may work on its images in place.
        batches = [
            module(to_module(batch, module).clone()) for batch in torch.split(images, batch_size)
        ]
    return torch.cat(batches).to(images.device)


def to_module(images: Tensor, module: nn.Module) -> Tensor:
    """Move images to the network's device and precision."""
    first = next(chain(module.parameters(), module.buffers()), images)
    return images.to(first.device, first.dtype if first.is_floating_point() else images.dtype)


@torch.no_grad()
def evaluate(
    module: nn.Module, split: Split, normalise: Normalisation, device: torch.device
) -> float | None:
    """Measure top-1 accuracy on a split, in [0, 1]; None if it is empty."""
    if not len(split):
        return None
    module.eval()
    correct = 0
    for inputs, labels in batches(split, normalise, 500, device):
        correct += int((module(inputs).argmax(1) == labels).sum())
    return correct / len(split)
