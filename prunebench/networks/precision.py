"""Networks that compute in bfloat16 while they train; their weights stay in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from prunebench.plugins.recipe import Precision


@contextmanager
def computing_in(precision: Precision, module: nn.Module) -> Iterator[None]:
    """Have a network's forward passes compute in a precision; nothing changes in float32.

    In bf16, convolutions and matrix products take bfloat16 (8 bits of mantissa) and images lie in
    memory with their channels last, which is faster; weights, their gradients, the optimizer and
    what the network gives out, and so the loss, stay in float32 (mixed precision: Micikevicius et
    al., ICLR 2018; bfloat16 needs no scaling of the loss: Kalamkar et al., arXiv 1905.12322).

    Args:
        precision: ``float32`` or ``bf16``.
        module: The network.
    """
    if precision == "float32":
        yield
        return
    forward, is_own = module.forward, "forward" in vars(module)

    def compute(*given: Any, **options: Any) -> Any:
        device = next(module.parameters()).device.type
        with torch.autocast(device, torch.bfloat16):
            found = forward(*tree_map_only(Tensor, _put_channels_last, given), **options)
        return tree_map_only(Tensor, _widen, found)

    module.to(memory_format=torch.channels_last)
    module.forward = compute
    try:
        yield
    finally:
        if is_own:
            module.forward = forward
        else:
            del module.forward  # else a copy of the network would run this one
        module.to(memory_format=torch.contiguous_format)


def _put_channels_last(given: Tensor) -> Tensor:
    return given.contiguous(memory_format=torch.channels_last) if given.ndim == 4 else given


def _widen(found: Tensor) -> Tensor:
    return found.float() if found.dtype == torch.bfloat16 else found
