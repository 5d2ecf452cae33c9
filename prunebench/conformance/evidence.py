"""What a metric is given: the evidence of a compressed network on a few digits."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.cams.explained_batches import explain_batches
from prunebench.cams.maps import upsample
from prunebench.conformance.bench import (
    CPU,
    load_digits,
    load_test_images,
    predict_logits,
    train_network,
)
from prunebench.data import ground_truth
from prunebench.metrics import Evidence, Metric
from prunebench.networks import Network
from prunebench.networks.network import from_module
from prunebench.plugins import choose

LAYER = "stage3"
SIZE = (16, 16)
PREDICTED, EXPLAINED = 60, 12
"""Test images, and those among them that are explained."""

Of = Literal["baseline", "pruned"]


@cache
def make_network(which: Of) -> Network:
    """Return the trained network, or the same with 40% of each layer's weights set to zero."""
    baseline = train_network("digits-cnn").copy()
    if which == "baseline":
        return baseline
    for layer in baseline.module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(layer, "weight", 0.4)  # type: ignore[no-untyped-call]
    return from_module(baseline.module, baseline.architecture)


class GradCamExplainer:
    """Grad-CAM at work on a network."""

    def __init__(self, which: Of) -> None:
        self.module = make_network(which).module

    def __call__(
        self, images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        """Return maps at input size in [0, 1]."""
        cams = {"": choose("cams", "grad-cam").plugin}
        found = explain_batches(
            module or self.module, LAYER, [(images, classes)], cams, first=first
        )
        return upsample(found.maps[""], SIZE)


class Observed(NamedTuple):
    """What there is of a network: its logits, maps, and what its masked images give."""

    logits: Tensor
    maps: Tensor
    masked: tuple[Tensor, Tensor]


@cache
def observe(which: Of) -> Observed:
    """Return what there is of a network, for the classes that the baseline predicts."""
    network, explain = make_network(which), GradCamExplainer(which)
    logits = predict_logits(network, load_test_images(PREDICTED))
    classes = predict_logits(make_network("baseline"), load_test_images(PREDICTED)).argmax(1)
    images = load_test_images(PREDICTED)[choose_explained()]
    maps = explain(images, classes[choose_explained()])
    hidden = images * maps[:, None]
    masked = explain(hidden, classes[choose_explained()]), predict_logits(network, hidden)
    return Observed(logits, maps, masked)


def choose_explained() -> Tensor:
    """Return the indices of the test images that are explained."""
    return torch.arange(0, PREDICTED, PREDICTED // EXPLAINED)


def make_evidence(
    metric: Metric,
    of: Of = "pruned",
    *,
    reverse: bool = False,
    empty: int = 0,
    seed: int = 0,
    read: set[str] | None = None,
) -> Evidence:
    """Return evidence with what the metric declares to read, and nothing else.

    Args:
        metric: The metric.
        of: Whose evidence; that of the baseline is always the trained network's.
        reverse: All images in the opposite order.
        empty: So many maps of the network are all zero, the first ones.
        seed: Of the metric's step.
        read: Where to note what was read.
    """
    ours, theirs = observe(of), observe("baseline")
    maps = ours.maps.clone()
    maps[:empty] = 0
    order = torch.arange(PREDICTED)
    chosen = torch.arange(EXPLAINED)
    explained = choose_explained()
    if reverse:
        order, chosen = order.flip(0), chosen.flip(0)
        explained = PREDICTED - 1 - explained.flip(0)
    images = load_test_images(PREDICTED)[choose_explained()][chosen]
    classes = theirs.logits.argmax(1)[choose_explained()][chosen]

    def batches(batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, EXPLAINED, batch_size):
            part = slice(start, min(start + batch_size, EXPLAINED))
            yield part, images[part]

    readings: dict[str, Any] = {
        "network": make_network(of),
        "baseline": make_network("baseline"),
        "predictions": ours.logits[order],
        "baseline_predictions": theirs.logits[order],
        "labels": load_digits().test.labels[:PREDICTED][order],
        "maps": maps[chosen],
        "baseline_maps": theirs.maps[chosen],
        "numbers": _describe_maps(maps[chosen]),
        "baseline_numbers": _describe_maps(theirs.maps[chosen]),
        "images": batches,
        "masks": ground_truth(load_digits().test, choose_explained()[chosen], SIZE),
        "masked": (ours.masked[0][chosen], ours.masked[1][chosen]),
        "explainer": GradCamExplainer(of),
        "classes": classes,
        "explained": explained,
    }
    noted = set() if read is None else read

    def load(name: str) -> Any:
        noted.add(name)
        return copy.deepcopy(readings[name]) if name in ("network", "baseline") else readings[name]

    given = {name: partial(load, name) for name in _list_readings(metric)}
    return Evidence(given, CPU, seed)


def _describe_maps(maps: Tensor) -> dict[str, Tensor]:
    """Return each map's centre of mass and width, numbers that a method could give with it."""
    height, width = maps.shape[1:]
    mass = maps.sum((1, 2))
    row = (maps.sum(2) * torch.arange(height)).sum(1) / mass
    column = (maps.sum(1) * torch.arange(width)).sum(1) / mass
    down = (torch.arange(height) - row[:, None]).square()
    across = (torch.arange(width) - column[:, None]).square()
    spread = (maps * (down[:, :, None] + across[:, None])).sum((1, 2)) / mass
    return {"centre_row": row, "centre_column": column, "width": spread.sqrt()}


def _list_readings(metric: Metric) -> set[str]:
    """Return the readings that the metric declares, and those that come with them."""
    reads: set[str] = set(metric.reads)
    given = set(reads)
    given |= {role.replace("maps", "numbers") for role in reads & {"maps", "baseline_maps"}}
    if reads & {"predictions", "baseline_predictions"}:
        given.add("labels")
    if reads & {"maps", "baseline_maps", "masked", "explainer", "images", "masks"}:
        given |= {"classes", "explained"}
    return given
