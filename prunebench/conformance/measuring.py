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
from prunebench.conformance.bench import CPU, digits, logits_of, test_images, trained
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
def network_of(which: Of) -> Network:
    """The trained network, or what is left of it when 40% of each layer's weights are zero."""
    baseline = trained("digits-cnn").copy()
    if which == "baseline":
        return baseline
    for layer in baseline.module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            prune.l1_unstructured(layer, "weight", 0.4)  # type: ignore[no-untyped-call]
    return from_module(baseline.module, baseline.architecture)


class Explanation:
    """Grad-CAM at work on a network."""

    def __init__(self, which: Of) -> None:
        self.module = network_of(which).module

    def __call__(
        self, images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        """Maps at input size in [0, 1]."""
        cams = {"": choose("cams", "grad-cam").plugin}
        found = explain_batches(
            module or self.module, LAYER, [(images, classes)], cams, first=first
        )
        return upsample(found.maps[""], SIZE)


class Seen(NamedTuple):
    """What there is of a network: its logits, maps, and what its masked images give."""

    logits: Tensor
    maps: Tensor
    masked: tuple[Tensor, Tensor]


@cache
def seen(which: Of) -> Seen:
    """Of the classes that the baseline predicts."""
    network, explain = network_of(which), Explanation(which)
    logits = logits_of(network, test_images(PREDICTED))
    classes = logits_of(network_of("baseline"), test_images(PREDICTED)).argmax(1)
    images = test_images(PREDICTED)[where()]
    maps = explain(images, classes[where()])
    hidden = images * maps[:, None]
    masked = explain(hidden, classes[where()]), logits_of(network, hidden)
    return Seen(logits, maps, masked)


def where() -> Tensor:
    """Which of the test images are explained."""
    return torch.arange(0, PREDICTED, PREDICTED // EXPLAINED)


def evidence(
    metric: Metric,
    of: Of = "pruned",
    *,
    reverse: bool = False,
    empty: int = 0,
    seed: int = 0,
    read: set[str] | None = None,
) -> Evidence:
    """Evidence with what the metric declares to read, and nothing else.

    Args:
        metric: The metric.
        of: Whose evidence; that of the baseline is always the trained network's.
        reverse: All images in the opposite order.
        empty: So many maps of the network are all zero, the first ones.
        seed: Of the metric's step.
        read: Where to note what was read.
    """
    ours, theirs = seen(of), seen("baseline")
    maps = ours.maps.clone()
    maps[:empty] = 0
    order = torch.arange(PREDICTED)
    chosen = torch.arange(EXPLAINED)
    explained = where()
    if reverse:
        order, chosen = order.flip(0), chosen.flip(0)
        explained = PREDICTED - 1 - explained.flip(0)
    images = test_images(PREDICTED)[where()][chosen]
    classes = theirs.logits.argmax(1)[where()][chosen]

    def batches(batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, EXPLAINED, batch_size):
            part = slice(start, min(start + batch_size, EXPLAINED))
            yield part, images[part]

    readings: dict[str, Any] = {
        "network": network_of(of),
        "baseline": network_of("baseline"),
        "predictions": ours.logits[order],
        "baseline_predictions": theirs.logits[order],
        "labels": digits().test.labels[:PREDICTED][order],
        "maps": maps[chosen],
        "baseline_maps": theirs.maps[chosen],
        "numbers": _described(maps[chosen]),
        "baseline_numbers": _described(theirs.maps[chosen]),
        "images": batches,
        "masks": ground_truth(digits().test, where()[chosen], SIZE),
        "masked": (ours.masked[0][chosen], ours.masked[1][chosen]),
        "explainer": Explanation(of),
        "classes": classes,
        "explained": explained,
    }
    noted = set() if read is None else read

    def load(name: str) -> Any:
        noted.add(name)
        return copy.deepcopy(readings[name]) if name in ("network", "baseline") else readings[name]

    given = {name: partial(load, name) for name in _given(metric)}
    return Evidence(given, CPU, seed)


def _described(maps: Tensor) -> dict[str, Tensor]:
    """Each map's centre of mass and how wide it lies around it, as a method could tell them."""
    height, width = maps.shape[1:]
    mass = maps.sum((1, 2))
    row = (maps.sum(2) * torch.arange(height)).sum(1) / mass
    column = (maps.sum(1) * torch.arange(width)).sum(1) / mass
    down = (torch.arange(height) - row[:, None]).square()
    across = (torch.arange(width) - column[:, None]).square()
    spread = (maps * (down[:, :, None] + across[:, None])).sum((1, 2)) / mass
    return {"centre_row": row, "centre_column": column, "width": spread.sqrt()}


def _given(metric: Metric) -> set[str]:
    """What is declared, and what comes with it."""
    reads: set[str] = set(metric.reads)
    given = set(reads)
    given |= {role.replace("maps", "numbers") for role in reads & {"maps", "baseline_maps"}}
    if reads & {"predictions", "baseline_predictions"}:
        given.add("labels")
    if reads & {"maps", "baseline_maps", "masked", "explainer", "images", "masks"}:
        given |= {"classes", "explained"}
    return given
