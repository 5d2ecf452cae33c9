"""Where a network's channels go: each is marked, and marks are read where layers take them in.

A mark is a set of images, half of a batch, in which a channel is not-a-number; so two marks on a
channel are never the mark of a third. Whatever moves channels about (flips, shuffles, padding,
indexing) moves marks along, and a sum shows those of all its terms.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import combinations, islice
from math import comb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

FAULTS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors of a network that does not run, be it on this batch or without some channels."""


def make_marks(count: int) -> list[int]:
    """Return different marks, in binary: bit k is set where image k shows the mark."""
    images = 2
    while comb(images, images // 2) < count:
        images += 2
    halves = combinations(range(images), images // 2)
    return [sum(1 << image for image in half) for half in islice(halves, count)]


def read_marks(
    module: nn.Module,
    example: Tensor,
    marks: Mapping[str, Sequence[int]],
    apart: Collection[str] = (),
) -> dict[str, list[int]]:
    """Run a copy of the network with marked channels and read what each layer takes in.

    A convolution or linear layer passes no marks on: it mixes all that it reads, and its outputs
    have marks of their own. A layer without layers or matrices inside that keeps the shape and
    would spread a mark over other channels, as a LayerNorm does, leaves it where it is.

    Args:
        module: The network; it is left as it is. Its weights do not matter.
        example: An input, of which the shape counts.
        marks: Of the outputs of each convolution or linear layer, by name; 0 for none.
        apart: Names of the layers that give each channel on by itself and are read nonetheless:
            BatchNorm and depthwise convolutions. Once cut, these look like others, and others
            like these.

    Returns:
        By name, of each convolution, linear layer and those of ``apart`` that was called, the mark
        of each of its inputs.
    """
    working = copy.deepcopy(module).eval()
    bits = max((m for own in marks.values() for m in own), default=0).bit_length()
    try:
        # One image more, without marks: where it shows some, images of a batch are not independent.
        found = _run(working, example, marks, apart, range(bits + 1))
        if not any(mark >> bits for seen in found.values() for mark in seen):
            return found
    except FAULTS:
        pass  # the network may take single images only
    found = {}
    for bit in range(bits):
        for name, seen in _run(working, example, marks, apart, [bit]).items():
            before = found.get(name, [0] * len(seen))
            found[name] = [a | b for a, b in zip(before, seen, strict=True)]
    return found


def _run(
    module: nn.Module,
    example: Tensor,
    marks: Mapping[str, Sequence[int]],
    apart: Collection[str],
    bits: Sequence[int],
) -> dict[str, list[int]]:
    """Run a network once on a batch, of which each image shows one bit of the marks."""
    shown = torch.tensor(bits, device=example.device)[:, None]
    draw = torch.Generator().manual_seed(0)
    images = torch.rand(example[:1].shape, generator=draw).to(example)
    found: dict[str, list[int]] = {}
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would not call the layers
    try:
        with ExitStack() as hooks, torch.no_grad():
            for name, layer in module.named_modules():
                if isinstance(layer, _ConvNd | nn.Linear) and name not in apart:
                    own = torch.tensor(marks.get(name, ()), device=example.device)
                    forward = _make_forward(layer, name, own, shown, found)
                    hooks.callback(setattr, layer, "forward", layer.forward)
                    layer.forward = forward  # type: ignore[method-assign]
                elif not any(layer.children()) and (name in apart or _has_vectors(layer)):
                    read = partial(_read, name=name, shown=shown, found=found)
                    hook = partial(_keep_apart, read=read if name in apart else None)
                    hooks.enter_context(layer.register_forward_hook(hook))
            module(images.repeat(len(bits), *[1] * (images.dim() - 1)))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return found


def _has_vectors(layer: nn.Module) -> bool:
    """Tell whether a layer's parameters, if it has any, mix no channels."""
    return all(weight.numel() == max(weight.shape, default=1) for weight in layer.parameters())


def _make_forward(
    layer: nn.Module, name: str, marks: Tensor, shown: Tensor, found: dict[str, list[int]]
) -> Callable[..., Tensor]:
    """Make a layer's outputs nothing but marks, without computing more than one of them."""
    forward = layer.forward

    def mark(given: Tensor, *others: Any) -> Tensor:
        axis = given.dim() - 1 if isinstance(layer, nn.Linear) else 1
        _read(given, axis, name, shown, found)
        batch = given.dim() > 1
        one = forward(given[:1] if batch else given, *others)
        output = given.new_ones((len(given), *one.shape[1:]) if batch else one.shape)
        if len(marks):
            of_images = output.movedim(axis, -1)
            of_images = of_images.view(len(shown), -1, *of_images.shape[1:])
            bits = (marks >> shown & 1).bool()
            shape = (len(shown), *[1] * (of_images.dim() - 2), len(marks))
            of_images.masked_fill_(bits.view(shape), torch.nan)
        return output

    return mark


def _keep_apart(
    layer: nn.Module,
    given: tuple[Any, ...],
    output: Any,
    read: Callable[[Tensor, int], None] | None,
) -> Any:
    """Let a layer keep channels apart, and read them where that is asked for; a hook."""
    if not given or not isinstance(given[0], Tensor) or not isinstance(output, Tensor):
        return output
    if read:
        read(given[0], 1)
    if output.shape != given[0].shape:
        return output
    marked = given[0].isnan()
    if output.isnan().count_nonzero() <= marked.count_nonzero():
        return output
    return torch.ones_like(output).masked_fill_(marked, torch.nan)


def _read(given: Tensor, axis: int, name: str, shown: Tensor, found: dict[str, list[int]]) -> None:
    """Add the bits that a layer's inputs show to what was found."""
    seen = given.flatten(axis + 1).amax(-1) if axis + 1 < given.dim() else given
    of_images = seen.reshape(len(shown), -1, seen.shape[-1]).isnan().any(1)
    own = (of_images.long() << shown).sum(0).tolist()
    found[name] = [a | b for a, b in zip(found.get(name, own), own, strict=True)]
