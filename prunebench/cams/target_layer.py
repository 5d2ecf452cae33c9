"""The target layer: which layers of a network can be explained, and which is by default."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, NamedTuple

from torch import Tensor, dtype, empty, inference_mode, nn, no_grad

from prunebench.errors import RequestError, did_you_mean
from prunebench.networks.evaluation import freeze
from prunebench.networks.layout import (
    Layout,
    TokenGrids,
    contradicts,
    follows_image,
    to_maps,
)

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
    outputs = watch_outputs(module, example)
    told = tell_token_grids(module, outputs, _get_size(example))
    sizes = _measure(outputs, layout, _get_size(example), told)
    image = _show_size(example)
    shape = outputs[target_layer].shape if target_layer in outputs else ()
    if contradicts(shape, layout, _get_size(example)):
        held = "first" if layout == "channels-last" else "last"
        raise RequestError(
            f"the output of layer {target_layer!r}, {shape}, holds its channels {held}, but would "
            f"be read as {layout!r}; {_list_qualifying(sizes, minimum)}"
        )
    if len(shape) == 3 and layout == "tokens":
        to_maps(empty(shape, device="meta"), layout, _get_size(example), told)  # says why not
    if target_layer not in outputs:
        raise RequestError(
            f"layer {target_layer!r} does not run when the network does, or gives no tensor; "
            f"{_list_qualifying(sizes, minimum)}"
        )
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
    outputs, image = watch_outputs(module, example), _get_size(example)
    told = tell_token_grids(module, outputs, image)
    every = _measure(outputs, "maps", image, told, trusting=True)
    sizes = {name: size for name, size in every.items() if not outputs[name].pooled}
    last = next(reversed(_measure(outputs, "tokens", image, told, trusting=True)), None)
    if sizes and last not in every:
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
    by_width = getattr(found, "normalized_shape", None) == (sizes[large[-1]][1],)
    if by_width or contradicts(outputs[large[-1]].shape, "maps", image):
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
    outputs, image = watch_outputs(module, example), _get_size(example)
    sizes = _measure(outputs, layout, image, tell_token_grids(module, outputs, image))
    return {name: size for name, size in sizes.items() if pooling or not outputs[name].pooled}


class Output(NamedTuple):
    """Output of a layer for one image.

    Attributes:
        shape: Of the output, which is one tensor.
        pooled: Whether it comes straight from a pooling layer.
        kind: Its number format.
    """

    shape: tuple[int, ...]
    pooled: bool
    kind: dtype


def watch_outputs(module: nn.Module, example: Tensor) -> dict[str, Output]:
    """Run one image and note every layer's output, in the order layers finish.

    A layer that runs several times counts where it runs last.

    Args:
        module: The network. It is left as it was found.
        example: A normalised input, B×C×H×W; only its first image is used.
    """
    names: dict[nn.Module, list[str]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if name:
            names.setdefault(layer, []).append(name)
    outputs: dict[str, Output] = {}
    pooled: list[Any] = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        if type(layer).__module__ == "torch.nn.modules.pooling":
            pooled.append(output)
        for name in names[layer]:
            outputs.pop(name, None)
            if isinstance(output, Tensor) and output.dim() and len(output) == 1:
                is_pooled = any(output is each for each in pooled)
                outputs[name] = Output(tuple(output.shape), is_pooled, output.dtype)

    handles = [layer.register_forward_hook(note) for layer in names]
    try:
        with freeze(module), inference_mode(False), no_grad():
            module(example[:1].clone())  # a copy: a network may work on its images in place
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def tell_token_grids(
    module: nn.Module, outputs: dict[str, Output], image: tuple[int, int]
) -> TokenGrids:
    """Return what a network tells of the grids of its tokens.

    The maps that it makes are the surest sign, since a grid told at building may be that of
    another size of images.

    Args:
        module: The network.
        outputs: Of its layers.
        image: Height and width of the image.
    """
    made = {each.shape[2:] for each in outputs.values() if len(each.shape) == 4}
    grids: set[Any] = {grid for grid in made if follows_image((grid[0], grid[1]), image)}
    if not grids:
        told = [getattr(layer, "grid_size", None) for layer in module.modules()]
        grids = {tuple(grid) for grid in told if isinstance(grid, tuple | list) and len(grid) == 2}
    prefixes = [getattr(layer, "num_prefix_tokens", None) for layer in module.modules()]
    return TokenGrids(
        frozenset(grids), next((each for each in prefixes if isinstance(each, int)), None)
    )


def _measure(
    outputs: dict[str, Output],
    layout: Layout,
    image: tuple[int, int],
    told: TokenGrids,
    *,
    trusting: bool = False,
) -> dict[str, tuple[int, int]]:
    """Return height and width of the outputs that can be read as maps.

    Args:
        outputs: By layer.
        layout: How they are read.
        image: Height and width of the image.
        told: What the network tells of the grids of its tokens.
        trusting: Take the layout's word also where the shape speaks against it.
    """
    sizes = {}
    for name, output in outputs.items():
        try:
            maps = to_maps(empty(output.shape, device="meta"), layout, image, told)
        except RequestError:
            continue
        if trusting or not contradicts(output.shape, layout, image):
            sizes[name] = (maps.shape[2], maps.shape[3])
    return sizes


def _get_size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _show_size(images: Tensor) -> str:
    return f"{images.shape[-2]}×{images.shape[-1]}"


def _list_qualifying(sizes: dict[str, tuple[int, int]], minimum: int) -> str:
    fit = [f"{name} ({h}×{w})" for name, (h, w) in sizes.items() if min(h, w) >= minimum]
    if not fit:
        return "no layer qualifies"
    more = f", and {len(fit) - LISTED} earlier ones" if len(fit) > LISTED else ""
    return f"these layers qualify: {', '.join(fit[::-1][:LISTED])}{more}"
