"""One network of a suite, and everything that is measured of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from prunebench.models import Model
from prunebench.plan.cell_filter import CellFilter
from prunebench.plan.steps import Step
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Pruner

FIELDS = ("dataset", "model", "pruner", "level", "round", "seed", "cam", "metric")


@dataclass(frozen=True, eq=False)
class Setting:
    """What all networks share that are compressed from one baseline, and compared with it.

    Attributes:
        dataset: The data set.
        data: Its step.
        model: The model.
        recovery: Fine-tuning after compression; None for none.
        seed: The experiment's seed.
        target_layer: The layer explained; "" where nothing is.
        baseline: The step of the uncompressed network.
    """

    dataset: Chosen[Any]
    data: Step
    model: Chosen[Model]
    recovery: Recipe | None
    seed: int
    target_layer: str
    baseline: Step


class Cell(NamedTuple):
    """One leaf: one metric (of one explanation method, where it reads maps) of one network."""

    cam: str | None
    metric: str
    step: Step


@dataclass(frozen=True, eq=False, slots=True)
class Trial:
    """One network of the suite with all its cells.

    Attributes:
        role: ``baseline``; ``control``, of a pruner that removes nothing and declares so;
            ``floor``, the baseline's architecture with random weights; ``twin``, the baseline of
            another seed; ``retrained``, the baseline itself, explained by methods that learnt
            under another seed; ``small``, of a pruner that trains from scratch; or
            ``compressed``.
        setting: What it shares with the other networks of its data set, model and seed.
        network: The step that makes it.
        cells: What is measured of it.
        known: All cells of it in the suite, those not chosen by ``--where`` too.
        baseline: The trial that it is compared with; None for the baseline's own.
    """

    role: str
    setting: Setting
    pruner: Chosen[Pruner] | None
    level: float | None
    round: int | None
    network: Step
    cells: tuple[Cell, ...]
    known: tuple[Cell, ...]
    baseline: Trial | None

    @property
    def name(self) -> str:
        """The pruner's name, or what stands in its place."""
        if self.pruner:
            return self.pruner.name
        return "random-weights" if self.role == "floor" else self.role

    @property
    def compared_with(self) -> Trial:
        """The baseline's trial, which is this one where it is of the baseline."""
        return self.baseline or self

    def fields(self) -> dict[str, Any]:
        """Return what ``--where`` may ask about, but for ``cam`` and ``metric``."""
        return {
            "dataset": self.setting.dataset.name,
            "model": self.setting.model.name,
            "pruner": self.name,
            "level": self.level,
            "round": self.round,
            "seed": self.setting.seed,
        }

    def select(self, where: CellFilter | None) -> Trial:
        """Return the same network with only the cells that ``--where`` chooses."""
        if where is None:
            return self
        fields = self.fields()
        cells = tuple(
            cell for cell in self.cells if where(fields | {"cam": cell.cam, "metric": cell.metric})
        )
        return replace(self, cells=cells)
