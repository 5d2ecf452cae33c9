"""Where does a network look? Maps of images by any number of explanation methods at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Cam, Explanation, Trace
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.target_layer import check_target_layer, find_last_feature_layer, frozen
from prunebench.cams.tracer import Tracer
from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.layout import Layout
from prunebench.plugins import choose
from prunebench.plugins.context import NOTHING, Prepared
from prunebench.progress import counting
from prunebench.seeding import derive

CamNames = str | Iterable[str | Mapping[str, Mapping[str, Any]]]
"""Names of explanation methods; one with parameters is written ``{name: {parameter: value}}``."""


def explain(
    model: nn.Module,
    images: Tensor,
    cams: CamNames = ("grad-cam",),
    target_layer: str | None = None,
    targets: Tensor | None = None,
    batch_size: int = 64,
    layout: Layout = "maps",
    quiet: bool = False,
) -> dict[str, Tensor]:
    """Explains a network's decisions on images.

    Args:
        model: The network; images in, logits B×K out. It is left as it was found.
        images: Images, normalised as the network wants them, N×C×H×W.
        cams: Explanation methods, by name.
        target_layer: Name of the layer that is explained; by default the end of the last
            convolutional stage with maps of at least 4×4 (see ``find_last_feature_layer``).
        targets: The class explained in each image, N; by default the network's prediction.
        batch_size: Images a batch; it changes nothing but speed and memory.
        layout: How the layer's output is read as maps: ``maps`` (B×C×h×w), ``channels-last``
            (B×h×w×C) or ``tokens`` (B×T×C, as in a vision transformer).
        quiet: Show no progress.

    Returns:
        For each method, maps in [0, 1] at the images' size, N×H×W, on the images' device.

    Raises:
        RequestError: An unknown method, layer or class, a target layer with maps below 4×4, or
            images that are no N×C×H×W of floating-point numbers.
    """
    chosen = choose_cams(cams)
    check_images(images)
    layer = choose_layer(model, target_layer, images, layout)
    if targets is not None and len(targets) != len(images):
        raise RequestError(f"{len(targets)} classes for {len(images)} images; expected as many")
    prepared = learn_on(images, model, chosen, quiet)
    batches = split_batches(images, targets, batch_size)
    with counting(len(images), "images explained", quiet) as progress:
        found = explain_batches(
            model, layer, batches, chosen, layout=layout, prepared=prepared, progress=progress
        )
    if found.uncut:
        warnings.warn(
            f"the network could not be cut at {layer!r}, so that methods that run it again ran all "
            f"of it (slower, with the same result): {found.uncut}",
            stacklevel=2,
        )
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    return {name: upsample(maps, size) for name, maps in found.maps.items()}


def learn_on(
    images: Tensor, module: nn.Module, cams: Mapping[str, Cam], quiet: bool = False
) -> Prepared:
    """What methods that learn compute of a network, on the images; see ``cams/explainer_training.py``.

    Args:
        images: Normalised images, N×C×H×W.
        module: The network. It is left as it was found.
        cams: Explanation methods; where none of them learns, this takes no time.
        quiet: Show no progress.
    """
    if not any(cam.prepare() for cam in cams.values()):
        return NOTHING
    from prunebench.cams.explainer_training import learn

    with counting(100, "% of learning to explain", quiet) as progress:
        return learn(
            cams.values(),
            module,
            to_module(images, module),
            progress=lambda fraction, _: progress(round(100 * fraction)),
        )


Batches = Iterable[tuple[Tensor, Tensor | None]]
"""Normalised images b×C×H×W, and the class explained in each (b) or None for the prediction."""


def split_batches(images: Tensor, classes: Tensor | None, batch_size: int) -> Batches:
    """Cuts images N×C×H×W and their classes (N, or None) into batches."""
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        yield images[batch], None if classes is None else classes[batch]


class Explained(NamedTuple):
    """What explaining images gave.

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
    """Explains images by given methods, at the resolution in which the methods give their maps.

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
            raw, told = _split_explanation(name, cam(traced))
            maps[name].append(keep(_normalise_checked(name, raw, traced).to(images.device)))
            for what, each in told.items():
                numbers[name].setdefault(what, []).append(each.detach().to(images.device))
        logits.append(traced.logits.to(images.device))
        explained.append(traced.classes.to(images.device))
        done += len(images)
        del traced  # its graph, before the next batch makes one
        progress(done)
    assert tracer is not None, "nothing to explain"
    return Explained(
        {name: torch.cat(each) for name, each in maps.items()},
        {
            name: {what: torch.cat(each) for what, each in told.items()}
            for name, told in numbers.items()
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
    return normalise(raw.detach())


def predict(module: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Logits of a network in evaluation mode, N×K, on the images' device.

    Args:
        module: The network. It is left as it was found.
        images: Normalised images, N×C×H×W.
        batch_size: Images a batch.
    """
    with frozen(module), torch.no_grad():
        batches = [module(to_module(batch, module)) for batch in torch.split(images, batch_size)]
    return torch.cat(batches).to(images.device)


def choose_cams(cams: CamNames) -> dict[str, Cam]:
    """Finds explanation methods by name.

    Raises:
        RequestError: None given, an unknown one, or a wrong parameter.
    """
    named: list[tuple[str, Mapping[str, Any]]] = []
    for item in [cams] if isinstance(cams, str) else cams:
        named += [(item, {})] if isinstance(item, str) else item.items()
    if not named:
        raise RequestError("no explanation method given; 'grad-cam' is one")
    chosen = [choose("cams", name, dict(parameters)) for name, parameters in named]
    return {each.label: each.plugin for each in chosen}


def choose_layer(
    module: nn.Module, target_layer: str | None, images: Tensor, layout: Layout = "maps"
) -> str:
    """The target layer as given, checked, or the one explained by default.

    Raises:
        RequestError: There is no such layer or its maps are below 4×4.
    """
    layouts = get_args(Layout)
    if layout not in layouts:
        raise RequestError(f"unknown layout {layout!r}; {did_you_mean(layout, layouts)}")
    example = to_module(images[:1], module)
    if target_layer is None:
        if layout != "maps":
            raise RequestError(f"layout {layout!r} is that of a layer: name the target layer too")
        return find_last_feature_layer(module, example)
    check_target_layer(module, target_layer, example, layout=layout)
    return target_layer


def check_images(images: Tensor) -> None:
    """Refuses what are no normalised images.

    Raises:
        RequestError: Not N×C×H×W, no images at all, or not floating-point numbers.
    """
    if not isinstance(images, Tensor):
        raise RequestError(f"images are {type(images).__name__}; expected a tensor, N×C×H×W")
    if images.dim() != 4 or len(images) == 0:
        raise RequestError(f"images are {tuple(images.shape)}; expected N×C×H×W with N at least 1")
    if not images.is_floating_point():
        raise RequestError(f"images are {images.dtype}; expected normalised floating-point numbers")


def to_module(images: Tensor, module: nn.Module) -> Tensor:
    """Images on the network's device and in its precision."""
    first = next(chain(module.parameters(), module.buffers()), images)
    return images.to(first.device, first.dtype if first.is_floating_point() else images.dtype)
