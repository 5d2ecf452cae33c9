"""What a training minimises, and what else happens at each of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def _cross_entropy(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    from torch.nn import functional as F

    return F.cross_entropy(module(inputs), labels)


def _nothing(module: nn.Module, passed: float) -> None:
    pass


@dataclass(frozen=True)
class Objective:
    """What a training minimises, and what else happens at each of its steps.

    Attributes:
        loss: ``loss(module, inputs, labels)``: a scalar to minimise; cross-entropy by default. It
            runs the module itself, in training mode; inputs are normalised and augmented.
        on_gradients: ``on_gradients(module, passed)``, between the backward pass and the
            optimizer's step: adds to gradients, for example. ``passed`` is the fraction of the
            training that is over, in [0, 1).
        on_weights: ``on_weights(module, passed)``, after the optimizer's step, which ``passed``
            includes, in (0, 1]: constrains weights, for example.
        on_epoch: ``on_epoch(module, passed)``, after each epoch, before its validation.
    """

    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] = _cross_entropy
    on_gradients: Callable[[nn.Module, float], None] = _nothing
    on_weights: Callable[[nn.Module, float], None] = _nothing
    on_epoch: Callable[[nn.Module, float], None] = _nothing


CROSS_ENTROPY = Objective()
"""Plain training on labels."""
