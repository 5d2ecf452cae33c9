"""Estimates of the diagonal of the loss's Hessian, by the weights that may be masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.pruners.weights.derivatives import (
    Pairs,
    Weights,
    compute_gradient,
    compute_hessian_product,
)


def estimate_fisher_diagonal(network: nn.Module, pairs: Pairs) -> Weights:
    """Average over images the squared gradient of each image's own cross-entropy.

    This is the diagonal of the empirical Fisher matrix. It stands for the Hessian's where the
    network's predictions agree with the labels' distribution, and is never negative.

    Args:
        network: The network, in evaluation mode; it is left as it is.
        pairs: Batches of normalised inputs, B×C×H×W, and labels, B.
    """
    total = _make_zeros(network)
    count = 0
    for inputs, labels in pairs:
        for image in zip(torch.split(inputs, 1), torch.split(labels, 1), strict=True):
            for name, slope in compute_gradient(network, [image]).items():
                total[name] += slope.square()
        count += len(labels)
    return {name: each / max(count, 1) for name, each in total.items()}


def estimate_hessian_diagonal(network: nn.Module, pairs: Pairs, probes: int, seed: int) -> Weights:
    """Average v·(Hv) over random vectors v of signs: Hutchinson's estimator of H's diagonal.

    It has no bias (Bekas, Kokiopoulou and Saad 2007); its entries may be negative, where the
    Hessian's are and by the luck of the draw.

    Args:
        network: The network, in evaluation mode; it is left as it is.
        pairs: Batches of normalised inputs, B×C×H×W, and labels, B.
        probes: Random vectors for each batch.
        seed: Of the random vectors.
    """
    generator = torch.Generator().manual_seed(seed)
    total = _make_zeros(network)
    count = 0
    for pair in pairs:
        images = len(pair[1])
        for _ in range(probes):
            vector = {name: _draw_signs(each, generator) for name, each in total.items()}
            for name, product in compute_hessian_product(network, [pair], vector).items():
                total[name] += vector[name] * product * images
        count += images * probes
    return {name: each / max(count, 1) for name, each in total.items()}


def _make_zeros(network: nn.Module) -> Weights:
    layers = find_prunable_layers(network)
    return {name: torch.zeros_like(layer.weight.detach()) for name, layer in layers.items()}


def _draw_signs(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw −1 or 1 at random, on the processor, so that a GPU has the same."""
    signs = torch.randint(0, 2, like.shape, generator=generator) * 2 - 1
    return signs.to(like.device, like.dtype)
