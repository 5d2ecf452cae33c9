"""Maps of batches of images, by any number of explanation methods at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Cam, Explanation, Trace
from prunebench.cams.maps import magnify, normalise
from prunebench.cams.tracer import Tracer
from prunebench.errors import RequestError
from prunebench.networks.evaluation import to_module
from prunebench.networks.layout import Layout
from prunebench.plugins.context import NOTHING, Prepared
from prunebench.seeding import derive

Batches = Iterable[tuple[Tensor, Tensor | None]]
"""Normalised images b×C×H×W, and the class explained in each (b) or None for the prediction."""


def split_batches(images: Tensor, classes: Tensor | None, batch_size: int) -> Batches:
    """Cut images N×C×H×W and their classes (N, or None) into batches.

    Raises:
        RequestError: The size of a batch is no whole number above 0.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise RequestError(f"batch size {batch_size!r}; expected a whole number of at least 1")
    return _cut_batches(images, classes, batch_size)


def _cut_batches(images: Tensor, classes: Tensor | None, batch_size: int) -> Batches:
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        yield images[batch], None if classes is None else classes[batch]


class Explained(NamedTuple):
    """The maps of explained images, and what else one pass gives.

    Attributes:
        maps: For each method, normalised maps in [0, 1], N×h×w at the target layer's resolution
            or the images', on the images' device.
        numbers: For each method, numbers that it tells of each map, by name, N each, likewise.
        logits: Of the network, N×K, likewise.
        classes: The class explained in each image, N, likewise.
        uncut: Why the network could not be cut at its target layer, so that methods that run it
            again run all of it; empty if it could.
    """

    maps: dict[str, Tensor]
    numbers: dict[str, dict[str, Tensor]]
    logits: Tensor
    classes: Tensor
    uncut: str


def explain_batches(
    module: nn.Module,
    target_layer: str,
    batches: Batches,
    cams: Mapping[str, Cam],
    *,
    layout: Layout = "maps",
    seed: int = 0,
    first: int = 0,
    keep: Callable[[Tensor], Tensor] = lambda maps: maps,
    tracer: Tracer | None = None,
    prepared: Prepared = NOTHING,
    progress: Callable[[int], None] = lambda images: None,
) -> Explained:
    """Explain images by given methods, at the resolution in which the methods give their maps.

    Each batch passes through the network once, however many methods there are.

    Args:
        module: The network.
        target_layer: Name of the layer that is explained.
        batches: At least one batch.
        cams: Explanation methods, by the name they have in the result.
        layout: How the layer's output is read as maps.
        seed: For methods that draw random numbers: each image has a seed of its own.
        first: Number of the first image, from which the images' seeds are made.
        keep: What is done to the maps of each batch before they are kept, such as coding them.
        tracer: Of this network and layer, where there is one from an earlier call.
        prepared: For methods that learn: what their preparations computed of this network.
        progress: Called after each batch with the number of images explained so far.

    Raises:
        RequestError: See ``Tracer``; or a method returned something other than maps.
    """
    maps: dict[str, list[Tensor]] = {name: [] for name in cams}
    numbers: dict[str, dict[str, list[Tensor]]] = {name: {} for name in cams}
    logits: list[Tensor] = []
    explained: list[Tensor] = []
    done = 0
    for images, classes in batches:
        inputs = to_module(images, module)
        tracer = tracer or Tracer(module, target_layer, inputs, layout)
        seeds = [derive(seed, "explanation", first + done + i) for i in range(len(images))]
        traced = tracer(inputs, classes, tuple(seeds), prepared)
        for name, cam in cams.items():
            raw, described = _split_explanation(name, cam(traced))
            maps[name].append(keep(_normalise_checked(name, raw, traced).to(images.device)))
            for what, each in described.items():
                numbers[name].setdefault(what, []).append(each.detach().to(images.device))
        answers = traced.logits if traced.answers is None else traced.answers
        logits.append(_check_finite(answers).to(images.device))
        explained.append(traced.classes.to(images.device))
        done += len(images)
        del traced  # its graph, before the next batch makes one
        progress(done)
    assert tracer is not None, "nothing to explain"
    return Explained(
        {name: torch.cat(each) for name, each in maps.items()},
        {
            name: {what: torch.cat(each) for what, each in described.items()}
            for name, described in numbers.items()
        },
        torch.cat(logits),
        torch.cat(explained),
        tracer.uncut,
    )


def _split_explanation(
    name: str, found: Tensor | Explanation
) -> tuple[Tensor, Mapping[str, Tensor]]:
    if not isinstance(found, Explanation):
        return found, {}
    for what, each in found.numbers.items():
        if each.shape != found.maps.shape[:1]:
            raise RequestError(
                f"cam {name!r} returned {tuple(each.shape)} as {what!r}; expected one number for "
                f"each of {len(found.maps)} maps"
            )
    return found.maps, found.numbers


def _normalise_checked(name: str, raw: Tensor, traced: Trace) -> Tensor:
    count = len(traced.images)
    sizes = [(count, *tensor.shape[2:]) for tensor in (traced.activations, traced.images)]
    if raw.shape not in sizes:
        raise RequestError(
            f"cam {name!r} returned {tuple(raw.shape)}; expected maps B×h×w, {sizes[0]} like the "
            f"target layer's or {sizes[1]} like the images"
        )
    if wrong := _find_not_finite(raw):
        raise RequestError(
            f"cam {name!r} gave maps that are not finite (NaN or infinite) for {len(wrong)} of "
            f"{count} images"
        )
    return normalise(magnify(raw.detach()))


def _check_finite(logits: Tensor) -> Tensor:
    if wrong := _find_not_finite(logits):
        raise RequestError(
            f"the network's logits are not finite (NaN or infinite) for {len(wrong)} of "
            f"{len(logits)} images"
        )
    return logits


def _find_not_finite(values: Tensor) -> list[int]:
    """Find the images, by their indices in the batch, of which not all values are finite."""
    wrong: list[int] = (~values.isfinite().flatten(1).all(1)).nonzero()[:, 0].tolist()
    return wrong
