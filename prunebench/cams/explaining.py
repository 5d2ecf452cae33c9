"""Where does a network look? Maps of images, with what was asked for checked first."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import cast, get_args

from torch import Tensor, nn

from prunebench.cams.arguments import (
    CamNames,
    Classes,
    Images,
    Layer,
    choose_cams,
    name_layer,
    read_classes,
    read_images,
)
from prunebench.cams.cam import Cam
from prunebench.cams.explained_batches import explain_batches, split_batches
from prunebench.cams.maps import upsample
from prunebench.cams.target_layer import (
    check_target_layer,
    find_last_feature_layer,
    watch_outputs,
)
from prunebench.cams.tracer import convert, find_precision
from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.ambient_modes import leave_ambient_modes
from prunebench.networks.classifier import describe_dependence, make_classifier
from prunebench.networks.evaluation import to_module
from prunebench.networks.layout import Layout
from prunebench.networks.wrappers import unwrap
from prunebench.plugins.context import NOTHING, Prepared
from prunebench.progress import counting

__all__ = ["choose_cams", "explain"]


@leave_ambient_modes()
def explain(
    model: nn.Module,
    images: Images,
    cams: CamNames = ("grad-cam",),
    target_layer: Layer | None = None,
    targets: Classes | None = None,
    batch_size: int = 64,
    layout: Layout = "maps",
    quiet: bool = False,
) -> dict[str, Tensor]:
    """Explain a network's decisions on images.

    Args:
        model: The network; images in, logits B×K out, or something that clearly holds them. One
            logit, as before a sigmoid, counts as two classes. It is left as it was found.
        images: Images, normalised as the network wants them, N×C×H×W: a tensor, an array, a list,
            a Dataset or a DataLoader.
        cams: Explanation methods: names, ``{name: parameters}``, or functions of a trace.
        target_layer: The layer that is explained, or its name; by default the end of the last
            convolutional stage with maps of at least 4×4 (see ``find_last_feature_layer``).
        targets: The class explained in each image, N, or one for all; or the labels that each
            image has, N×K, 0 and 1, of which the one with the largest logit is explained. By
            default the network's prediction.
        batch_size: Images a batch; it changes nothing but speed and memory.
        layout: How the layer's output is read as maps: ``maps`` (B×C×h×w), ``channels-last``
            (B×h×w×C) or ``tokens`` (B×T×C, as in a vision transformer).
        quiet: Show no progress.

    Returns:
        For each method, maps in [0, 1] at the images' size, N×H×W, on the images' device.

    Raises:
        RequestError: An unknown method, layer or class, a target layer with maps below 4×4, images
            that are no N×C×H×W of finite floating-point numbers, or a network that gives no logits
            of them.

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
    images = read_images(images).images
    name = name_layer(target_layer, model)
    classes = None if targets is None else read_classes(targets, len(images), "classes")
    network = make_classifier(model, to_module(images[:1], unwrap(model)))
    layer = choose_layer(network, name, images, layout)
    if depends := describe_dependence(network, to_module(images[:1], network)):
        warnings.warn(f"the maps do not depend on the image alone, but on {depends}", stacklevel=3)
    prepared = learn_on(images, network, chosen, quiet)
    batches = split_batches(images, classes, batch_size)
    with counting(len(images), "images explained", quiet) as progress:
        found = explain_batches(
            network, layer, batches, chosen, layout=layout, prepared=prepared, progress=progress
        )
    if found.uncut:
        warnings.warn(
            f"the network could not be cut at {layer!r}, so that methods that run it again ran all "
            f"of it (slower, with the same result): {found.uncut}",
            stacklevel=3,
        )
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    return {cam: upsample(maps, size) for cam, maps in found.maps.items()}


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

    example = to_module(images[:1], module)
    precision = find_precision(example, watch_outputs(module, example))
    if precision is not example.dtype:
        module = convert(module, example, precision)
    with counting(100, "% of learning to explain", quiet) as progress:
        return learn(
            cams.values(),
            module,
            to_module(images, module),
            progress=lambda fraction, _: progress(round(100 * fraction)),
        )


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
