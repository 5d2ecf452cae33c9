"""Counting what a network computes: multiply-adds of convolutions and matrix products."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from prunebench.networks.quantised.layers import Int8Layer, find_int8_layers

with warnings.catch_warnings():
    # fvcore scripts a loss function on import, which torch announces to be deprecated.
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import conv_flop_count, get_shape


def count_macs(module: nn.Module, example: Tensor) -> dict[str, int]:
    """Count the multiply-adds of each layer for one image.

    Convolutions, linear layers and matrix products, the functional ones included; normalisation,
    pooling and elementwise operations are not counted.

    Args:
        module: The network; it is left as it was.
        example: An input, B×C×H×W, on the network's device; its first image is used.

    Returns:
        Multiply-adds by the name of the layer that performs them itself, not by way of a layer
        inside it; ``""`` is the network. Layers that perform none are left out.
    """
    analysis = FlopCountAnalysis(module, (example[:1],)).clear_op_handles()
    analysis.set_op_handle(**_OPERATIONS)
    # Everything else is meant not to be counted, and needs no warning.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    with _evaluating(module), torch.no_grad():
        inclusive = analysis.by_module()
    own = {name: int(count) for name, count in inclusive.items()}
    for name, count in inclusive.items():
        if name:
            own[name.rpartition(".")[0]] -= int(count)
    return {name: count for name, count in own.items() if count}


def count_total_macs(module: nn.Module, example: Tensor) -> int:
    """Count the multiply-adds of a network for one image; see ``count_macs``."""
    return sum(count_macs(module, example).values())


def count_effective_macs(module: nn.Module, macs: dict[str, int]) -> float:
    """Count multiply-adds by weights that are not zero, each of a layer used equally often.

    Args:
        module: The network.
        macs: Its multiply-adds by layer, from ``count_macs``.
    """
    layers = dict(module.named_modules())
    return sum(count * _measure_density(layers[name]) for name, count in macs.items())


def _measure_density(layer: nn.Module) -> float:
    weight = getattr(layer, "weight", None)
    # A product of activations has no weights that could be zero.
    return int(weight.count_nonzero()) / weight.numel() if isinstance(weight, Tensor) else 1.0


def find_prunable_weights(module: nn.Module) -> list[Tensor]:
    """Find the weights of convolutions and linear layers, each shared one once."""
    weights = [
        layer.codes if isinstance(layer, Int8Layer) else layer.weight
        for layer in module.modules()
        if isinstance(layer, _ConvNd | nn.Linear)
    ]
    return list({id(weight): weight for weight in weights}.values())


def list_parameters(module: nn.Module) -> list[Tensor]:
    """List parameters, and 8-bit weights: parameters all the same, though not trainable."""
    return [*module.parameters(), *(layer.codes for layer in find_int8_layers(module).values())]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Trace in evaluation mode; afterwards every flag and hook is as it was.

    In training mode a forward pass would move BatchNorm's statistics, and fvcore leaves its
    hooks behind where the forward pass fails.
    """
    before = [
        (layer, layer.training, set(layer._forward_hooks), set(layer._forward_pre_hooks))
        for layer in module.modules()
    ]
    fused = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    # Attention in one fused operation would hide its matrix products.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for layer, training, hooks, pre_hooks in before:
            layer.training = training
            for left in layer._forward_hooks.keys() - hooks:
                del layer._forward_hooks[left]
            for left in layer._forward_pre_hooks.keys() - pre_hooks:
                del layer._forward_pre_hooks[left]


Count = Callable[[list[Any], list[Any]], int]


def _count_product(first: int) -> Count:
    """Make a count for a matrix product: its outputs times the length of the inner dimension."""

    def count(inputs: list[Any], outputs: list[Any]) -> int:
        return int(prod(get_shape(outputs[0])) * get_shape(inputs[first])[-1])

    return count


def _count_convolution(inputs: list[Any], outputs: list[Any]) -> int:
    transposed = inputs[6].toIValue()
    shapes = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])
    return int(conv_flop_count(*shapes, transposed=transposed))


def _count_convolution_mode(inputs: list[Any], outputs: list[Any]) -> int:
    """Count a convolution with padding by name, such as ``same``, which fvcore would not."""
    return int(conv_flop_count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])))


def _count_einsum(inputs: list[Any], outputs: list[Any]) -> int:
    """Count a contraction in one step: the product of all of its indices' lengths."""
    terms = inputs[0].toIValue().replace(" ", "").partition("->")[0].split(",")
    shapes = [get_shape(operand) for operand in inputs[1].node().inputs()]
    lengths = {
        index: length
        for term, shape in zip(terms, shapes, strict=True)
        for index, length in zip(term, shape, strict=True)
    }
    return prod(lengths.values())


def _count_attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Count queries by keys, then weights by values; ...×L×E, ...×S×E and ...×S×V."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    return int(prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


_OPERATIONS: dict[str, Count] = {
    "aten::_convolution": _count_convolution,
    "aten::_convolution_mode": _count_convolution_mode,
    "aten::linear": _count_product(0),
    "aten::matmul": _count_product(0),
    "aten::mm": _count_product(0),
    "aten::bmm": _count_product(0),
    "aten::mv": _count_product(0),
    "aten::addmm": _count_product(1),
    "aten::baddbmm": _count_product(1),
    "aten::einsum": _count_einsum,
    "aten::scaled_dot_product_attention": _count_attention,
}
