"""The schedule of gradual pruning: fast at first, then slower."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The cubic schedule of Zhu and Gupta 2017, equation 1.

    Attributes:
        begin: Fraction of the training before the first pruning step.
        end: Fraction of the training after which the level is reached.
        steps: Number of pruning steps; the last one is at ``end``.
    """

    begin: float
    end: float
    steps: int

    def count_due(self, passed: float) -> int:
        """Return how many pruning steps are due when this fraction of the training is over."""
        part = (passed - self.begin) / (self.end - self.begin)
        # Where a step falls on the end of a batch, rounding must not make it late.
        return min(max(math.floor(part * self.steps + 1e-6), 0), self.steps)

    def sparsity(self, passed: float, level: float) -> float:
        """Return the sparsity, s·(1 − (1 − t)³), when this fraction of the training is over."""
        return level * (1 - (1 - self.count_due(passed) / self.steps) ** 3)
