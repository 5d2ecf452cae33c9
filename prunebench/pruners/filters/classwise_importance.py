"""The importance of a filter for each class: what its loss does without the filter."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.plugins.context import Context
from prunebench.pruners.filters.coupling import silence, trace
from prunebench.pruners.filters.feature_maps import FeatureReader
from prunebench.pruners.filters.removable import find_channels

Calibration = tuple[Tensor, Tensor]
"""Inputs and labels, ordered by class."""


def split_by_class(inputs: Tensor, labels: Tensor) -> Iterator[Calibration]:
    """Yield the images of each class that there is."""
    for label in torch.unique(labels):
        yield inputs[labels == label], labels[labels == label]


@torch.no_grad()
def compute_class_losses(network: nn.Module, classes: list[Calibration]) -> Tensor:
    """Compute the mean cross-entropy of each class's images, K, float64."""
    logits = network(torch.cat([inputs for inputs, _ in classes])).double()
    labels = torch.cat([labels for _, labels in classes])
    losses = F.cross_entropy(logits, labels, reduction="none")
    parts = torch.split(losses, [len(each) for _, each in classes])
    return torch.stack([part.mean() for part in parts])


def measure_by_removal(
    network: nn.Module, classes: list[Calibration], context: Context
) -> dict[str, Tensor]:
    """Silence each channel in turn, with all that is coupled to it, and measure the losses.

    Args:
        network: It is left as it is.
        classes: The images of each class.
        context: Its example, fixed channels and progress are used.

    Returns:
        By layer name, how far each class's loss is from that of the whole network, K×C.
    """
    working = copy.deepcopy(network)
    graph = trace(working, context.example)
    channels = find_channels(
        working, graph, lambda group: torch.zeros(len(group[0].idxs)), context.fixed_channels
    )
    widths = Counter({channel.layer: 0 for channel in channels})
    for channel in channels:
        widths[channel.layer] += len(channel.indices)
    whole = copy.deepcopy(working.state_dict())
    before = compute_class_losses(working, classes)
    found: dict[str, Tensor] = {}
    for index, channel in enumerate(channels):
        silence(working, graph, [channel])
        change = (compute_class_losses(working, classes) - before).abs()
        working.load_state_dict(whole)
        # Told of the filter's own layer: what is coupled to it may number its channels otherwise.
        empty = change.new_zeros(len(change), widths[channel.layer])
        found.setdefault(channel.layer, empty)[:, list(channel.indices)] = change[:, None]
        context.progress((index + 1) / len(channels), f"layer {channel.layer}")
    return found


def estimate_by_gradient(
    network: nn.Module, classes: list[Calibration], context: Context
) -> dict[str, Tensor]:
    """Estimate the same from one pass: |Σ ∂L_c/∂A_k · A_k|, A_k the filter's feature maps.

    To first order, this is what ``measure_by_removal`` measures of each layer by itself.

    Returns:
        By layer name, K×C.
    """
    reader = FeatureReader(network, gradients=True)
    found: dict[str, list[Tensor]] = {name: [] for name in reader.layers}
    for index, (inputs, labels) in enumerate(classes):
        features = reader.read(inputs)
        loss = F.cross_entropy(features.logits.double(), labels)
        maps = list(features.maps.values())
        slopes = torch.autograd.grad(loss, maps, materialize_grads=True)
        for name, each, slope in zip(features.maps, maps, slopes, strict=True):
            change = (each * slope).detach().double().transpose(0, 1).flatten(1).sum(1)
            found[name].append(change.abs())
        context.progress((index + 1) / len(classes), "gradients")
    return {name: torch.stack(each) for name, each in found.items()}


def attenuate_similar(
    importance: Tensor, similarity: Tensor, sigma: float, factor: float
) -> Tensor:
    """Lower the importance of filters that do what a more important one does.

    Of every pair whose similarity is above the mean of all pairs by ``sigma`` deviations, the
    filter of less importance is multiplied by the factor.

    Args:
        importance: For one class, C.
        similarity: Of each pair of filters, for the same class, C×C.
        sigma: Deviations above the mean from which filters are alike.
        factor: In (0, 1].

    Returns:
        C.
    """
    count = len(importance)
    upper = torch.ones(count, count, dtype=torch.bool, device=similarity.device).triu(1)
    pairs = similarity[upper]
    if len(pairs) < 2:
        return importance
    alike = similarity > pairs.mean() + sigma * pairs.std()
    # Of equal filters, the one that comes first counts as the less important.
    lesser = (importance[:, None] < importance) | ((importance[:, None] == importance) & upper)
    return importance * factor ** (alike & lesser).sum(1)


def compute_similarities(maps: Tensor) -> Tensor:
    """Measure how alike the feature maps of a layer's filters are, in absolute value, C×C.

    Of convolutions, the structural similarity (3×3 Gaussian window, σ=1.5, data range 1) of the
    maps' means over the images, B×C×h×w; of linear layers, the cosine of their outputs, B×C.
    """
    if maps.dim() == 2:
        units = F.normalize(maps.double(), dim=0)
        dead = (maps == 0).all(0)
        return torch.where(dead[:, None] & dead, 1.0, (units.T @ units).abs())
    mean = maps.double().mean(0)[:, None]  # C×1×h×w
    offsets = torch.arange(-1, 2, device=maps.device, dtype=mean.dtype)
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = torch.outer(line, line)[None, None] / line.sum() ** 2

    def smooth(values: Tensor) -> Tensor:
        return F.conv2d(values, window, padding=1)

    centre = smooth(mean)
    spread = smooth(mean * mean) - centre**2
    rows = [
        (2 * centre[k] * centre + 1e-4)
        * (2 * (smooth(mean[k] * mean) - centre[k] * centre) + 9e-4)
        / ((centre[k] ** 2 + centre**2 + 1e-4) * (spread[k] + spread + 9e-4))
        for k in range(len(mean))
    ]
    return torch.stack([row.mean((1, 2, 3)).abs() for row in rows])
