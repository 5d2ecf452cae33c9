"""Where a network's channels go: each is marked, and marks are read where layers take them in.

A mark is a set of runs of the network, half of all, in which the channel is not-a-number; so two
marks on one channel are never the mark of a third. Whatever moves channels about (flips, shuffles,
padding, indexing) moves marks along, and a sum shows those of all its terms.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import combinations, islice
from math import comb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd


def make_marks(count: int) -> list[int]:
    """Return different marks, in binary: bit k is set where run k shows the mark."""
    runs = 2
    while comb(runs, runs // 2) < count:
        runs += 2
    halves = combinations(range(runs), runs // 2)
    return [sum(1 << run for run in half) for half in islice(halves, count)]


def read_marks(
    module: nn.Module, example: Tensor, marks: Mapping[str, Sequence[int]]
) -> dict[str, list[int]]:
    """Run a copy of the network with marked channels and read what each layer takes in.

    A convolution or linear layer passes no marks on: it mixes all that it reads, and its outputs
    have marks of their own. A layer without layers or matrices inside that keeps the shape and
    would spread a mark over other channels, as a LayerNorm does, leaves it where it is.

    Args:
        module: The network; it is left as it is. Its weights do not matter.
        example: An input, of which the shape counts.
        marks: Of the outputs of each convolution or linear layer, by name; 0 for none.

    Returns:
        By name, of each convolution, linear layer and BatchNorm that was called, the mark of each
        of its inputs.
    """
    working = copy.deepcopy(module).eval()
    draw = torch.Generator().manual_seed(0)
    image = torch.rand(example[:1].shape, generator=draw).to(example)
    found: dict[str, list[int]] = {}
    run = [0]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would not call the layers
    try:
        with ExitStack() as hooks, torch.no_grad():
            for name, layer in working.named_modules():
                if isinstance(layer, _ConvNd | nn.Linear) and not is_depthwise(layer):
                    own = torch.tensor(marks.get(name, ()), device=image.device)
                    forward = _make_forward(layer, name, own, run, found)
                    layer.forward = forward  # type: ignore[method-assign]
                elif _is_simple(layer):
                    hook = _make_hook(name, run, found)
                    hooks.enter_context(layer.register_forward_hook(hook))
            for run[0] in range(
                max((m for own in marks.values() for m in own), default=0).bit_length()
            ):
                working(image.clone())
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return found


def is_depthwise(layer: nn.Module) -> bool:
    """Tell whether a convolution gives each channel on by itself."""
    return isinstance(layer, _ConvNd) and layer.groups == layer.out_channels > 1


def _is_simple(layer: nn.Module) -> bool:
    vectors = all(weight.numel() == max(weight.shape, default=1) for weight in layer.parameters())
    return (vectors or is_depthwise(layer)) and not any(layer.children())


def _make_forward(
    layer: nn.Module, name: str, marks: Tensor, run: list[int], found: dict[str, list[int]]
) -> Callable[..., Tensor]:
    """Make a layer's outputs nothing but marks, without computing them more than once."""
    forward = layer.forward
    shapes: dict[torch.Size, torch.Size] = {}

    def mark(given: Tensor, *others: Any) -> Tensor:
        axis = given.dim() - 1 if isinstance(layer, nn.Linear) else 1
        _read(given, axis, name, run[0], found)
        if given.shape not in shapes:
            shapes[given.shape] = forward(given, *others).shape
        output = given.new_ones(shapes[given.shape])
        if not len(marks):
            return output
        shown = (marks >> run[0] & 1).bool()
        shape = [len(marks) if dim == axis else 1 for dim in range(output.dim())]
        return output.masked_fill(shown.view(shape), torch.nan)

    return mark


def _make_hook(name: str, run: list[int], found: dict[str, list[int]]) -> Callable[..., Any]:
    """Make a layer keep channels apart."""

    def keep_apart(layer: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        if not given or not isinstance(given[0], Tensor) or not isinstance(output, Tensor):
            return output
        if isinstance(layer, _BatchNorm) or is_depthwise(layer):
            _read(given[0], 1, name, run[0], found)
        marked = given[0].isnan()
        if marked.shape != output.shape or int(output.isnan().sum()) <= int(marked.sum()):
            return output
        return torch.ones_like(output).masked_fill(marked, torch.nan)

    return keep_apart


def _read(given: Tensor, axis: int, name: str, run: int, found: dict[str, list[int]]) -> None:
    seen = given.isnan().movedim(axis, 0).flatten(1).any(1).tolist()
    before = found.get(name, [0] * len(seen))
    found[name] = [a | (b << run) for a, b in zip(before, seen, strict=True)]
