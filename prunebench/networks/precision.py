"""Networks that compute in bfloat16 while they train; their weights stay in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from prunebench.plugins.recipe import Precision

VIEWED = "view size is not compatible"
"""In the error of code that flattens maps by ``view``, for which channels cannot come last."""


@contextmanager
def computing_in(precision: Precision, module: nn.Module) -> Iterator[None]:
    """Have a network's forward passes compute in a precision; nothing changes in float32.

    In bf16, convolutions and matrix products take bfloat16 (8 bits of mantissa) and images lie in
    memory with their channels last where the network's code lets them, which is faster; weights,
    their gradients, the optimizer and what the network gives out, and so the loss, stay in float32
    (mixed precision: Micikevicius et al., ICLR 2018; bfloat16 needs no scaling of the loss:
    Kalamkar et al., arXiv 1905.12322). A copy made meanwhile computes in float32.

    Args:
        precision: ``float32`` or ``bf16``.
        module: The network.
    """
    if precision == "float32":
        yield
        return
    plain, is_own = module.forward, "forward" in vars(module)
    module.forward = _Mixed(module, plain)
    try:
        yield
    finally:
        if is_own:
            module.forward = plain
        else:
            del module.forward  # else a copy of the network would run this one
        _lay_out(module, torch.contiguous_format)


class _Mixed:
    """A network's forward pass in bfloat16."""

    def __init__(self, module: nn.Module, plain: Callable[..., Any]) -> None:
        self._module = module
        self._plain = plain
        self._layout = torch.contiguous_format
        self._is_tried = False

    def __call__(self, *given: Any, **options: Any) -> Any:
        if self._is_tried:
            return self._compute(given, options)
        self._is_tried = True
        buffers = [(buffer, buffer.clone()) for buffer in self._module.buffers()]
        try:
            self._use(torch.channels_last)
            return self._compute(given, options)
        except RuntimeError as error:
            if VIEWED not in str(error):
                raise
        with torch.no_grad():
            for buffer, before in buffers:  # what came before the failure may have counted images
                buffer.copy_(before)
        self._use(torch.contiguous_format)
        return self._compute(given, options)

    def _use(self, layout: torch.memory_format) -> None:
        self._layout = layout
        _lay_out(self._module, layout)

    def _compute(self, given: Any, options: Any) -> Any:
        device = next(self._module.parameters()).device.type
        with torch.autocast(device, torch.bfloat16):
            found = self._plain(*tree_map_only(Tensor, self._arrange, given), **options)
        return tree_map_only(Tensor, _widen, found)

    def _arrange(self, given: Tensor) -> Tensor:
        return given.contiguous(memory_format=self._layout) if given.ndim == 4 else given

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy the plain pass: a copy of the network runs its own layers, in float32."""
        return deepcopy(self._plain, memo)


def _lay_out(module: nn.Module, layout: torch.memory_format) -> None:
    for weight in module.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=layout)


def _widen(found: Tensor) -> Tensor:
    return found.float() if found.dtype == torch.bfloat16 else found
