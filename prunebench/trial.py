"""One network of a suite, and everything that is measured of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from prunebench.plugins import Chosen
from prunebench.pruners import Pruner
from prunebench.steps import Step
from prunebench.where import Test

if TYPE_CHECKING:
    from prunebench.branch import Branch

FIELDS = ("dataset", "model", "pruner", "level", "round", "seed", "cam", "metric")


class Cell(NamedTuple):
    """One leaf: one metric (of one explanation method, where it reads maps) of one network."""

    cam: str | None
    metric: str
    step: Step


class Trial(NamedTuple):
    """One network of the suite with all its cells.

    Attributes:
        role: ``baseline``, ``control`` (a pruner without levels and without effect on weights: the
            ``none`` pruner), ``floor`` (the baseline's architecture with random weights) or
            ``compressed``.
        branch: What it shares with the other networks of its data set, model and seed.
        network: The step that makes it.
        cells: What is measured of it.
        known: All cells of it in the suite, those not chosen by ``--where`` too.
    """

    role: str
    branch: Branch
    pruner: Chosen[Pruner] | None
    level: float | None
    round: int | None
    network: Step
    cells: tuple[Cell, ...]
    known: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The pruner's name, or what stands in its place."""
        if self.pruner:
            return self.pruner.name
        return "random-weights" if self.role == "floor" else "baseline"

    def fields(self) -> dict[str, Any]:
        """What ``--where`` may ask about, but for ``cam`` and ``metric``."""
        return {
            "dataset": self.branch.dataset.name,
            "model": self.branch.model.name,
            "pruner": self.name,
            "level": self.level,
            "round": self.round,
            "seed": self.branch.seed,
        }

    def select(self, where: Test | None) -> Trial:
        """The same network with only the cells that ``--where`` chooses."""
        if where is None:
            return self
        fields = self.fields()
        cells = tuple(
            cell for cell in self.cells if where(fields | {"cam": cell.cam, "metric": cell.metric})
        )
        return self._replace(cells=cells)
