"""Values that cross the cut of a network: how each belongs to the images of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class CannotCut(Exception):
    """A network cannot be cut at a layer; the message says why."""


@dataclass(frozen=True)
class SameValue:
    """A value that is the same for every batch."""

    def select(self, value: Any, rows: Tensor | None, count: int) -> Any:
        """Return the value; a tensor as a copy, since what follows may work in place."""
        return value.clone() if isinstance(value, Tensor) else value


@dataclass(frozen=True)
class RowsPerImage:
    """A tensor with some rows for each image of the batch, one image after the other."""

    each: int

    def select(self, value: Tensor, rows: Tensor | None, count: int) -> Tensor:
        """Return a copy of these images' rows; of the whole batch where ``rows`` is None."""
        if rows is None:
            return value.clone()
        value = value.contiguous()
        return value.view(-1, self.each, *value.shape[1:])[rows].flatten(0, 1)


@dataclass(frozen=True)
class MultipleOfBatch:
    """A number that grows with the batch, such as its size."""

    each: int

    def select(self, value: int, rows: Tensor | None, count: int) -> int:
        """Return the number that belongs to ``count`` images."""
        return self.each * count


@dataclass(frozen=True)
class PartsOfValue:
    """A tuple or list, such as a shape, each part of which belongs to the batch in its own way."""

    parts: tuple[Crossing, ...]

    def select(self, value: Any, rows: Tensor | None, count: int) -> Any:
        """Return the tuple or list of what each part's own kind selects."""
        pairs = zip(self.parts, value, strict=True)
        return type(value)([kind.select(part, rows, count) for kind, part in pairs])


Crossing = SameValue | RowsPerImage | MultipleOfBatch | PartsOfValue
"""``select(value, rows, count)`` gives what belongs to ``count`` images of the batch, whose indices
are ``rows``, or to the batch in its own order where ``rows`` is None."""


def classify(name: str, one: Any, both: Any) -> Crossing:
    """Tell how a value belongs to the batch, from a batch of one image and one of two.

    Args:
        name: Names the value in the message.
        one: The value for one image.
        both: The value for this image and another.

    Raises:
        CannotCut: It belongs to the batch in no simple way.
    """
    if isinstance(one, Tensor) and isinstance(both, Tensor):
        if one.dim() and both.shape == (2 * one.shape[0], *one.shape[1:]):
            return RowsPerImage(one.shape[0])
        if one.shape == both.shape and torch.equal(one, both):
            return SameValue()
    elif type(one) in (tuple, list, torch.Size) and len(one) == len(both):
        pairs = zip(one, both, strict=True)
        return PartsOfValue(tuple(classify(name, a, b) for a, b in pairs))
    elif isinstance(one, _PLAIN) and one == both:
        return SameValue()
    elif type(one) is int and both == 2 * one:
        return MultipleOfBatch(one)
    raise CannotCut(f"the value {name!r} crosses the layer and is tied to the batch as a whole")


_PLAIN = (int, float, bool, str, type(None), torch.dtype, torch.device, slice)
