"""Scores of filters from their feature maps: of one image, and their mean over many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from prunebench.plugins.context import Context
from prunebench.pruners.filters.feature_maps import FeatureReader, Features, choose_batch_size


def average_scores(
    network: nn.Module,
    context: Context,
    images: int,
    score: Callable[[Features], Mapping[str, Tensor]],
    *,
    gradients: bool = False,
) -> dict[str, Tensor]:
    """Average over training images what is found in their feature maps.

    Args:
        network: The network; it is left as it is.
        context: Its training images and progress are used.
        images: How many images; all there are, where there are fewer.
        score: Of a batch, by any name: a score for each image and filter, B×C; NaN where an image
            says nothing.
        gradients: Whether it needs gradients by the feature maps.

    Returns:
        By these names, the mean score of each filter, C, float64. What no image says anything
        about is left out.
    """
    reader = FeatureReader(network, gradients=gradients)
    sums: dict[str, Tensor] = {}
    times: dict[str, Tensor] = {}
    seen = 0
    for inputs, _ in context.batches(images, choose_batch_size(context.example)):
        for name, each in score(reader.read(inputs)).items():
            found = each.detach().double()
            sums[name] = sums.get(name, 0) + found.nansum(0)
            times[name] = times.get(name, 0) + (~found.isnan()).sum(0)
        seen += len(inputs)
        context.progress(min(seen / images, 1.0), "feature maps")
    return {name: total / times[name] for name, total in sums.items() if times[name].all()}


def differentiate_prediction(features: Features) -> dict[str, Tensor]:
    """Return gradients of each image's largest logit by the feature maps, by layer name."""
    with torch.enable_grad():
        score = features.logits.max(1).values.sum()
    return features.differentiate(score)


def compute_mean_activations(maps: Tensor) -> Tensor:
    """Compute the mean absolute activation: B×C of feature maps B×C×h×w or B×C.

    After a ReLU this is the mean activation. Where no activation follows a filter, as at the end
    of a linear bottleneck, positive and negative values would cancel.
    """
    return _flatten_places(maps).abs().mean(2)


def compute_active_shares(maps: Tensor) -> Tensor:
    """Compute the share of positions where a filter is active: B×C in [0, 1] of B×C×h×w or B×C.

    After a ReLU this is 1 − the percentage of zeros / 100. Negative values, which other
    activations leave, count as zeros.
    """
    return (_flatten_places(maps) > 0).double().mean(2)


def compute_ranks(maps: Tensor) -> Tensor:
    """Compute the rank of each feature map as a matrix: B×C of maps B×C×h×w; of B×C, 0 or 1.

    Computed on the processor: it is fast at many small matrices, and rounds everywhere alike.
    """
    matrices = maps.flatten(2, -2) if maps.dim() > 3 else _flatten_places(maps)[..., None]
    found: Tensor = torch.linalg.matrix_rank(matrices.cpu())
    return found.to(maps.device)


def compute_influences(maps: Tensor, gradients: Tensor) -> Tensor:
    """Compute the influence of each filter on a score, relative to the mean of its layer.

    The influence of filter k is Σ_ij max(g_kij A_kij, 0).

    Args:
        maps: Feature maps A, B×C×h×w or B×C.
        gradients: Of the score by the maps, g, of the same shape.

    Returns:
        B×C, each row of mean 1; NaN where no filter has any influence.
    """
    each = _flatten_places(gradients * maps).double().clamp(min=0).sum(2)
    return each / each.mean(1, keepdim=True)


def compute_explanation_parts(
    maps: Tensor, gradients: Tensor, cam: Literal["grad-cam", "hires-cam"] = "grad-cam"
) -> Tensor:
    """Compute the part that each filter has in the explanation at its layer.

    The explanation is M = max(Σ_k c_k, 0), of contributions c_k = w_k A_k with Grad-CAM's weights
    w_k = mean_ij g_kij, or HiResCAM's, w_k = g_k at each position. The part of filter k is the
    length of the contribution's projection on M: <c_k, M> / <M, M>.

    Args:
        maps: Feature maps A, B×C×h×w or B×C.
        gradients: Of the explained score by the maps, g, of the same shape.
        cam: Which weights.

    Returns:
        B×C, each row of sum 1; NaN where M is 0 everywhere.
    """
    weights = _flatten_places(gradients).double()
    if cam == "grad-cam":
        weights = weights.mean(2, keepdim=True)
    contributions = weights * _flatten_places(maps)
    explanation = contributions.sum(1, keepdim=True).clamp(min=0)
    products = (contributions * explanation).sum(2)
    return products / explanation.square().sum(2)


def divide_by_layer_mean(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Divide scores by their layer's mean, so that those of several layers can be compared.

    Args:
        scores: By layer name, scores that are not negative, C. All zero, they stay zero.
    """
    return {name: each / each.mean().clamp(min=1e-300) for name, each in scores.items()}


def _flatten_places(maps: Tensor) -> Tensor:
    """Put the positions of feature maps in one row: B×C×positions; of a linear layer, B×C×1."""
    return maps.flatten(2) if maps.dim() > 2 else maps[..., None]
