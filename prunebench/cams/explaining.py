"""Where does a network look? Maps of images, with what was asked for checked first."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, cast, get_args

from torch import Tensor, nn

from prunebench.cams.cam import Cam
from prunebench.cams.explained_batches import explain_batches, split_batches
from prunebench.cams.maps import upsample
from prunebench.cams.target_layer import check_target_layer, find_last_feature_layer
from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.evaluation import to_module
from prunebench.networks.layout import Layout
from prunebench.plugins import choose
from prunebench.plugins.context import NOTHING, Prepared
from prunebench.progress import counting

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
    """Explain a network's decisions on images.

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

    Example:
        >>> import torch
        >>> from torch import nn
        >>> layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)]
        >>> model, images = nn.Sequential(*layers).eval(), torch.rand(4, 3, 8, 8)
        >>> from prunebench import explain
        >>> maps = explain(model, images, cams=("grad-cam", "grad-cam++"), quiet=True)
        >>> maps["grad-cam"].shape
        torch.Size([4, 8, 8])
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
    """Compute what methods that learn need of a network; see ``cams/explainer_training.py``.

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


def choose_cams(cams: CamNames) -> dict[str, Cam]:
    """Find explanation methods by name.

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
    """Return the target layer as given, checked, or the one explained by default.

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
    """Refuse what are no normalised images.

    Raises:
        RequestError: Not N×C×H×W, no images at all, or not floating-point numbers.
    """
    if not isinstance(images, Tensor):
        raise RequestError(f"images are {type(images).__name__}; expected a tensor, N×C×H×W")
    if images.dim() != 4 or len(images) == 0:
        raise RequestError(f"images are {tuple(images.shape)}; expected N×C×H×W with N at least 1")
    if not images.is_floating_point():
        raise RequestError(f"images are {images.dtype}; expected normalised floating-point numbers")
