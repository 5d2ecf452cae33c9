"""Derivatives of a network's loss by the weights that may be masked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins.context import Context
from prunebench.pruners.balanced_images import draw_balanced

Weights = dict[str, Tensor]
"""Of each prunable layer, by name, a tensor of its weight's shape."""

Pairs = Iterable[tuple[Tensor, Tensor]]
"""Batches of normalised inputs, B×C×H×W, and labels, B."""

BATCH = 128
"""Images a batch: differentiating twice takes several times a training step's memory."""


def compute_gradient(network: nn.Module, pairs: Pairs, temperature: float = 1.0) -> Weights:
    """Compute the gradient of the mean cross-entropy over all images.

    Args:
        network: The network, in evaluation mode; it is left as it is.
        pairs: The images, in any number of batches.
        temperature: What the logits are divided by.

    Returns:
        The gradient; zeros where the loss does not depend on a layer.
    """

    def of_batch(loss: Tensor, weights: Weights) -> list[Tensor]:
        return _differentiate(loss, weights)

    return _average(network, pairs, temperature, of_batch)


def compute_hessian_product(
    network: nn.Module, pairs: Pairs, vector: Mapping[str, Tensor], temperature: float = 1.0
) -> Weights:
    """Compute the Hessian of the mean cross-entropy times a vector, by differentiating twice.

    Args:
        network: The network, in evaluation mode; it is left as it is.
        pairs: The images, in any number of batches.
        vector: The vector, a tensor for each prunable layer.
        temperature: What the logits are divided by.
    """

    def of_batch(loss: Tensor, weights: Weights) -> list[Tensor]:
        slopes = _differentiate(loss, weights, create_graph=True)
        along = [(slope * vector[name]).sum() for name, slope in zip(weights, slopes, strict=True)]
        return _differentiate(torch.stack(along).sum(), weights)

    return _average(network, pairs, temperature, of_batch)


def _average(
    network: nn.Module,
    pairs: Pairs,
    temperature: float,
    derivative: Callable[[Tensor, Weights], list[Tensor]],
) -> Weights:
    """Add up a derivative of each batch's summed loss and divide by the number of images."""
    # Tensors of their own over the same numbers: nothing is left behind in the network.
    weights = {
        name: layer.weight.detach().requires_grad_()
        for name, layer in find_prunable_layers(network).items()
    }
    named = {f"{name}.weight".removeprefix("."): weight for name, weight in weights.items()}
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    count = 0
    for inputs, labels in pairs:
        # Layers that share a weight are masked, and so scored, one by one.
        logits = functional_call(network, named, (inputs,), tie_weights=False)
        loss = F.cross_entropy(logits / temperature, labels, reduction="sum")
        for name, found in zip(weights, derivative(loss, weights), strict=True):
            total[name] += found
        count += len(labels)
    return {name: each / max(count, 1) for name, each in total.items()}


def _differentiate(value: Tensor, weights: Weights, **options: Any) -> list[Tensor]:
    """Return gradients by all weights; zeros by those that the value does not depend on."""
    return list(torch.autograd.grad(value, [*weights.values()], materialize_grads=True, **options))


def draw_balanced_batches(context: Context, per_class: int) -> list[tuple[Tensor, Tensor]]:
    """Draw one mini-batch of as many images of each class, in pieces; see ``draw_balanced``."""
    inputs, labels = draw_balanced(context, per_class)
    return list(zip(torch.split(inputs, BATCH), torch.split(labels, BATCH), strict=True))
