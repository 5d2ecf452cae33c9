"""No compression: what the recovery training alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from prunebench.plugins.context import Context
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from torch import nn


class NoPruning(Pruner):
    """Leaves the network as it is: the control of every other method."""

    control: ClassVar[bool] = True
    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        """Return the network unchanged."""
        return network
