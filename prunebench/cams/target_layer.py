"""The target layer: which layers of a network can be explained, and which is by default."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from torch import Tensor, inference_mode, nn, no_grad

from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.evaluation import freeze
from prunebench.networks.layout import Layout, to_maps

LISTED = 8
"""Layers that an error message lists at most."""


def find_layer(module: nn.Module, target_layer: str) -> nn.Module:
    """Find a layer by the name it has in ``module.named_modules()``.

    Raises:
        RequestError: There is no layer of this name.
    """
    layers: dict[str, nn.Module] = dict(module.named_modules(remove_duplicate=False))
    del layers[""]
    if target_layer not in layers:
        near = get_close_matches(target_layer, layers, n=1, cutoff=0.5)
        outermost = [name for name in layers if "." not in name]
        raise RequestError(
            f"{type(module).__name__} has no layer {target_layer!r}; "
            f"{did_you_mean(target_layer, near or outermost)}"
        )
    return layers[target_layer]


def check_target_layer(
    module: nn.Module,
    target_layer: str,
    example: Tensor,
    minimum: int = 4,
    layout: Layout = "maps",
) -> tuple[int, int]:
    """Refuse a target layer whose maps say too little: a 1×1 map is always constant.

    Args:
        module: The network.
        target_layer: Name of the layer to be explained.
        example: A normalised input, B×C×H×W, of the size that will be explained.
        minimum: Smallest height and width of the layer's map.
        layout: How the layer's output is read as maps.

    Returns:
        Height and width of the layer's map.

    Raises:
        RequestError: There is no such layer, its output is no batch of maps, or the maps are
            smaller; the message lists the layers that qualify.
    """
    find_layer(module, target_layer)
    sizes = measure_maps(module, example, layout=layout)
    image = _show_size(example)
    if target_layer not in sizes:
        raise RequestError(
            f"the output of layer {target_layer!r} is no batch of maps in layout {layout!r} and "
            f"cannot be explained (tokens B×T×C have layout 'tokens'); "
            f"{_list_qualifying(sizes, minimum)}"
        )
    height, width = sizes[target_layer]
    if min(height, width) < minimum:
        raise RequestError(
            f"the maps of layer {target_layer!r} are {height}×{width} for images of {image}; at "
            f"least {minimum}×{minimum} is needed; {_list_qualifying(sizes, minimum)}"
        )
    return height, width


def find_last_feature_layer(module: nn.Module, example: Tensor, minimum: int = 4) -> str:
    """Find the layer explained by default: the end of the last convolutional stage.

    That is the last module to finish whose output is a batch of maps of at least
    minimum×minimum. Pooling layers, and containers that end in one, are passed over, so that the
    maps keep the resolution they have before the last pooling.

    Args:
        module: The network.
        example: A normalised input, B×C×H×W.
        minimum: Smallest height and width of the layer's map.

    Raises:
        RequestError: No layer has maps of this size; or what comes after the maps works on
            tokens, as in a vision transformer, or the maps seem to be channels-last: then
            somebody has to name a layer and its layout.
    """
    sizes = measure_maps(module, example, pooling=False)
    last = next(reversed(measure_maps(module, example, layout="tokens")), None)
    if sizes and last not in sizes and last not in measure_maps(module, example):
        raise RequestError(
            f"{type(module).__name__} works on tokens after its last maps "
            f"({next(reversed(sizes))!r}); name a target layer and its layout, for a vision "
            "transformer usually the first normalisation of its last block and 'tokens'"
        )
    large = [name for name, size in sizes.items() if min(size) >= minimum]
    if not large:
        raise RequestError(
            f"no layer of {type(module).__name__} has maps of at least {minimum}×{minimum} for "
            f"images of {_show_size(example)}; larger images are needed"
        )
    found = module.get_submodule(large[-1])
    if getattr(found, "normalized_shape", None) == (sizes[large[-1]][1],):
        raise RequestError(
            f"the last maps of {type(module).__name__} ({large[-1]!r}) seem to hold their channels "
            "in the last dimension, as in a Swin transformer; name the target layer and its "
            "layout, 'channels-last' or 'maps'"
        )
    return large[-1]


def measure_maps(
    module: nn.Module, example: Tensor, *, pooling: bool = True, layout: Layout = "maps"
) -> dict[str, tuple[int, int]]:
    """Measure height and width of every layer's output that is maps, in the order layers finish.

    A layer that runs several times counts where it runs last.

    Args:
        module: The network.
        example: A normalised input, B×C×H×W; only its first image is used.
        pooling: Include layers whose output comes straight from a pooling layer.
        layout: How outputs are read as maps.
    """
    names: dict[nn.Module, list[str]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if name:
            names.setdefault(layer, []).append(name)
    sizes: dict[str, tuple[int, int]] = {}
    pooled: list[Any] = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        if type(layer).__module__ == "torch.nn.modules.pooling":
            pooled.append(output)
        for name in names[layer]:
            sizes.pop(name, None)
            wanted = pooling or not any(output is each for each in pooled)
            if wanted and (size := _measure_map(output, layout, example)):
                sizes[name] = size

    handles = [layer.register_forward_hook(note) for layer in names]
    try:
        with freeze(module), inference_mode(False), no_grad():
            module(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return sizes


def _measure_map(output: Any, layout: Layout, example: Tensor) -> tuple[int, int] | None:
    if not isinstance(output, Tensor):
        return None
    try:
        maps = to_maps(output, layout, (example.shape[-2], example.shape[-1]))
    except RequestError:
        return None
    return maps.shape[2], maps.shape[3]


def _show_size(images: Tensor) -> str:
    return f"{images.shape[-2]}×{images.shape[-1]}"


def _list_qualifying(sizes: dict[str, tuple[int, int]], minimum: int) -> str:
    fit = [f"{name} ({h}×{w})" for name, (h, w) in sizes.items() if min(h, w) >= minimum]
    if not fit:
        return "no layer qualifies"
    more = f", and {len(fit) - LISTED} earlier ones" if len(fit) > LISTED else ""
    return f"these layers qualify: {', '.join(fit[::-1][:LISTED])}{more}"
