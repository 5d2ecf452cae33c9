"""What a training minimises, and what else happens at each of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def _cross_entropy(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    from torch.nn import functional as F

    return F.cross_entropy(module(inputs), labels)


def _nothing(module: nn.Module, passed: float) -> None:
    pass


def _no_numbers(module: nn.Module) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True)
class Objective:
    """What a training minimises, and what else happens at each of its steps.

    Attributes:
        loss: ``loss(module, inputs, labels)``: a scalar to minimise, or several by name, whose sum
            is minimised and each of which is in the learning curve; cross-entropy by default. It
            runs the module itself, in training mode; inputs are normalised and augmented.
        on_gradients: ``on_gradients(module, passed)``, between the backward pass and the
            optimizer's step: adds to gradients, for example. ``passed`` is the fraction of the
            training that is over, in [0, 1).
        on_weights: ``on_weights(module, passed)``, after the optimizer's step, which ``passed``
            includes, in (0, 1]: constrains weights, for example.
        on_epoch: ``on_epoch(module, passed)``, after each epoch, before its validation.
        observe: ``observe(module)``, after each epoch's validation: more numbers for the learning
            curve, by name.
    """

    loss: Callable[[nn.Module, Tensor, Tensor], Tensor | Mapping[str, Tensor]] = _cross_entropy
    on_gradients: Callable[[nn.Module, float], None] = _nothing
    on_weights: Callable[[nn.Module, float], None] = _nothing
    on_epoch: Callable[[nn.Module, float], None] = _nothing
    observe: Callable[[nn.Module], Mapping[str, float]] = _no_numbers


CROSS_ENTROPY = Objective()
"""Plain training on labels."""
