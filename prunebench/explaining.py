"""Where does a network look? Maps of images by any number of explanation methods at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Cam
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.target_layer import check_target_layer, frozen, last_feature_layer
from prunebench.cams.tracing import trace
from prunebench.errors import RequestError
from prunebench.plugins import choose
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
) -> dict[str, Tensor]:
    """Explains a network's decisions on images.

    Args:
        model: The network; images in, logits B×K out. It is left as it was found.
        images: Images, normalised as the network wants them, N×C×H×W.
        cams: Explanation methods, by name.
        target_layer: Name of the layer that is explained; by default the end of the last
            convolutional stage with maps of at least 4×4 (see ``last_feature_layer``).
        targets: The class explained in each image, N; by default the network's prediction.
        batch_size: Images a batch; it changes nothing but speed and memory.

    Returns:
        For each method, maps in [0, 1] at the images' size, N×H×W, on the images' device.

    Raises:
        RequestError: An unknown method, layer or class, a target layer with maps below 4×4, or
            images that are no N×C×H×W of floating-point numbers.
    """
    chosen = choose_cams(cams)
    check_images(images)
    layer = choose_layer(model, target_layer, images)
    classes = predict(model, images, batch_size).argmax(1) if targets is None else targets
    maps = explain_layer(model, layer, images, classes, chosen, batch_size=batch_size)
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    return {name: upsample(found, size) for name, found in maps.items()}


def explain_layer(
    module: nn.Module,
    target_layer: str,
    images: Tensor,
    classes: Tensor,
    cams: Mapping[str, Cam],
    seed: int = 0,
    batch_size: int = 64,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, Tensor]:
    """Explains given classes by given methods, at the target layer's own resolution.

    Each batch passes through the network once, however many methods there are.

    Args:
        module: The network.
        target_layer: Name of the layer that is explained.
        images: Normalised images, N×C×H×W.
        classes: The class explained in each image, N.
        cams: Explanation methods, by the name they have in the result.
        seed: For methods that draw random numbers.
        batch_size: Images a batch.
        progress: ``progress(fraction, text)``, called after each batch.

    Returns:
        For each method, normalised maps in [0, 1], N×h×w, on the images' device.

    Raises:
        RequestError: See ``trace``; or a method returned something other than maps B×h×w.
    """
    if len(classes) != len(images):
        raise RequestError(f"{len(classes)} classes for {len(images)} images; expected as many")
    found: dict[str, list[Tensor]] = {name: [] for name in cams}
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        traced = trace(
            module,
            target_layer,
            _to_module(images[batch], module),
            classes[batch],
            derive(seed, "explanation", start),
        )
        for name, cam in cams.items():
            raw = cam(traced)
            expected = (len(traced.activations), *traced.activations.shape[2:])
            if raw.shape != expected:
                raise RequestError(
                    f"cam {name!r} returned {tuple(raw.shape)}; expected maps B×h×w, {expected}"
                )
            found[name].append(normalise(raw.detach()).to(images.device))
        done = min(start + batch_size, len(images))
        progress(done / len(images), f"{done} of {len(images)} images explained")
    return {name: torch.cat(maps) for name, maps in found.items()}


def predict(module: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Logits of a network in evaluation mode, N×K, on the images' device.

    Args:
        module: The network. It is left as it was found.
        images: Normalised images, N×C×H×W.
        batch_size: Images a batch.
    """
    with frozen(module), torch.no_grad():
        batches = [module(_to_module(batch, module)) for batch in torch.split(images, batch_size)]
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


def choose_layer(module: nn.Module, target_layer: str | None, images: Tensor) -> str:
    """The target layer as given, checked, or the one explained by default.

    Raises:
        RequestError: There is no such layer or its maps are below 4×4.
    """
    example = _to_module(images[:1], module)
    if target_layer is None:
        return last_feature_layer(module, example)
    check_target_layer(module, target_layer, example)
    return target_layer


def check_images(images: Tensor) -> None:
    """Refuses what are no normalised images.

    Raises:
        RequestError: Not N×C×H×W, no images at all, or not floating-point numbers.
    """
    if images.dim() != 4 or len(images) == 0:
        raise RequestError(f"images are {tuple(images.shape)}; expected N×C×H×W with N at least 1")
    if not images.is_floating_point():
        raise RequestError(f"images are {images.dtype}; expected normalised floating-point numbers")


def _to_module(images: Tensor, module: nn.Module) -> Tensor:
    """Images on the network's device and in its precision."""
    first = next(chain(module.parameters(), module.buffers()), images)
    return images.to(first.device, first.dtype if first.is_floating_point() else images.dtype)
