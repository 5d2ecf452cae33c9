"""A network brought to the smaller layers that a file's weights have: structured pruning undone.

A state dict tells the shape of every weight and nothing else. Most sizes follow from it; how many
groups a convolution has follows from the channels that reach it, which are found by running the
network. What does not follow, such as the number of attention heads, is refused unless the file
tells it.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prunebench.errors import RequestError
from prunebench.model_files.layer_sizes import Attributes, Sizes, find_sizes
from prunebench.networks.network import resize

HEADS = re.compile(r"((num|nb|n)_?)?((attention|attn)_)?heads?(_count)?$", re.IGNORECASE)
"""Names of the number of heads, which the shapes of an attention's weights do not tell."""
REMEDY = (
    "give the whole network instead: torch.save(model) with --unsafe-pickle, torch.export's .pt2, "
    "or file.py:function that builds it in its new sizes"
)


def is_narrower(module: nn.Module, state: dict[str, Tensor]) -> bool:
    """Tell whether weights have the network's names and dimensions, but other sizes."""
    own = module.state_dict()
    shared = [name for name in own if name in state]
    return any(own[name].shape != state[name].shape for name in shared) and all(
        own[name].dim() == state[name].dim() for name in shared
    )


def narrow(
    module: nn.Module, state: dict[str, Tensor], told: Attributes, example: Tensor, where: str
) -> Attributes:
    """Give the layers of a network the sizes that weights have; the weights are not loaded.

    Args:
        module: The network in its original sizes; changed in place.
        state: SavedWeights by the network's names.
        told: Sizes of layers that the file tells; or empty.
        example: An input, B×C×H×W, on which the network is tried.
        where: The file, for messages.

    Returns:
        By layer the sizes that changed, as ``Architecture.resized`` takes them.

    Raises:
        RequestError: The weights are not those of a smaller version of the network, or do not
            tell how large it is.

    Example:
        >>> from torch import nn, zeros
        >>> layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)]
        >>> pruned = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3))
        >>> network = nn.Sequential(*layers)
        >>> narrow(network, pruned.state_dict(), {}, zeros(1, 1, 9, 9), "pruned.pt")
        {'0': {'out_channels': 5}, '2': {'in_channels': 5}}
    """
    _check_smaller(module, state, where)
    found: Attributes = {}
    for name, layer in module.named_modules():
        sizes = _infer(layer, _list_own(name, layer, state)) | _find_told(layer, told.get(name, {}))
        _check_heads(name, layer, state, sizes, where)
        _check_rest(name, layer, sizes, told.get(name, {}), where)
        if changed := {k: v for k, v in sizes.items() if getattr(layer, k) != v}:
            found[name] = changed
            for key, value in changed.items():
                setattr(layer, key, value)
    resize(module, state)
    grouped = _run(module, example, where)
    return {
        name: found.get(name, {}) | grouped.get(name, {})
        for name, _ in module.named_modules()
        if name in found or name in grouped
    }


def _check_smaller(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    for name, tensor in module.state_dict().items():
        shape, whole = tuple(state[name].shape), tuple(tensor.shape)
        if any(a > b for a, b in zip(shape, whole, strict=True)):
            raise RequestError(
                f"the weights do not fit the model: {name!r} is {shape} in the file and {whole} in "
                "the model; pruned layers are smaller than the factory's, never larger",
                where=where,
            )
        if 0 in shape:
            raise RequestError(f"{name!r} is empty: {shape}", where=where)


def _list_own(name: str, layer: nn.Module, state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """List the shapes that a layer's own tensors have in the file."""
    names = [*layer._parameters, *layer._buffers]
    full = {key: f"{name}.{key}".removeprefix(".") for key in names}
    return {key: tuple(state[at].shape) for key, at in full.items() if at in state}


def _infer(layer: nn.Module, shapes: dict[str, tuple[int, ...]]) -> Sizes:
    """Infer a layer's sizes from the shapes of its tensors."""
    shape = shapes.get("weight", ())
    if not shape:
        return {}
    if isinstance(layer, _ConvTransposeNd):
        return {
            "in_channels": shape[0],
            "out_channels": shape[1] * layer.groups,
            "kernel_size": shape[2:],
        }
    if isinstance(layer, _ConvNd):
        return {
            "in_channels": shape[1] * layer.groups,
            "out_channels": shape[0],
            "kernel_size": shape[2:],
        }
    if isinstance(layer, nn.Linear):
        return {"in_features": shape[1], "out_features": shape[0]}
    if isinstance(layer, nn.LayerNorm):
        return {"normalized_shape": shape}
    if isinstance(layer, _NormBase):
        return {"num_features": shape[0]}
    if isinstance(layer, nn.GroupNorm):
        return {"num_channels": shape[0]}
    return {"num_parameters": shape[0]} if isinstance(layer, nn.PReLU) else {}


def _find_told(layer: nn.Module, told: Sizes) -> Sizes:
    return {k: v for k, v in told.items() if type(getattr(layer, k, None)) is type(v)}


def _check_heads(
    name: str, layer: nn.Module, state: dict[str, Tensor], sizes: Sizes, where: str
) -> None:
    """Refuse attention of which the file does not tell how it is divided into heads."""
    heads = [key for key in find_sizes(vars(layer)) if HEADS.match(key)]
    if not heads or any(key in sizes for key in heads):
        return
    before = f"{name}." if name else ""
    for key, tensor in layer.state_dict().items():
        wanted = state.get(before + key)
        if wanted is not None and wanted.dim() == 2 and len(wanted) != len(tensor):
            raise RequestError(
                f"{before + key!r} is smaller than the model's, and weights do not tell into how "
                f"many heads the attention {name!r} is divided; {REMEDY}",
                where=where,
            )


def _check_rest(name: str, layer: nn.Module, sizes: Sizes, told: Sizes, where: str) -> None:
    """Refuse what is no pruning of channels, or leaves open how it was done."""
    kernel = sizes.get("kernel_size")
    if kernel is not None and kernel != layer.kernel_size:
        raise RequestError(
            f"layer {name!r} has a kernel of {kernel} in the file and of {layer.kernel_size} in "
            "the model: it was not pruned from this factory, whose strides may differ, too",
            where=where,
        )
    smaller = sizes.get("num_channels", 0) != getattr(layer, "num_channels", 0)
    if isinstance(layer, nn.GroupNorm) and smaller and "num_groups" not in told:
        raise RequestError(
            f"{name!r} is smaller than the model's, and weights do not tell into how many groups "
            f"this GroupNorm is divided; {REMEDY}",
            where=where,
        )


def _run(module: nn.Module, example: Tensor, where: str) -> Attributes:
    """Run the network once, giving grouped convolutions the channels that reach them."""
    found: Attributes = {}
    last = ""
    training = module.training

    def meet(name: str, layer: nn.Module, inputs: Any) -> None:
        nonlocal last
        last = name
        if isinstance(layer, _ConvNd) and layer.groups > 1 and not layer.transposed:
            channels, width = inputs[0].shape[1], layer.weight.shape[1]
            if channels % width == 0 and channels != layer.in_channels:
                layer.in_channels, layer.groups = channels, channels // width
                found[name] = {"in_channels": channels, "groups": layer.groups}

    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs, name=name: meet(name, layer, inputs))
        for name, layer in module.named_modules()
        if not list(layer.children())
    ]
    try:
        with torch.no_grad():
            module.eval()(example)
    except Exception as error:  # a network's own code may fail in any way
        reason = str(error).strip().partition("\n")[0]
        raise RequestError(
            f"the weights are smaller than the model's, and the model cannot be brought to their "
            f"sizes: it fails at layer {last!r} ({reason}); {REMEDY}",
            where=where,
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        module.train(training)
    return found
