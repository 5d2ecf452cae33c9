"""The part of the tree under one data set, model, recovery and seed: its networks, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from prunebench.models import Model
from prunebench.plan.cell_filter import CellFilter
from prunebench.plan.keys import Identities
from prunebench.plan.measurement_steps import MeasurementSteps
from prunebench.plan.network_steps import NetworkSteps, make_baseline
from prunebench.plan.preparation_steps import PreparationSteps
from prunebench.plan.steps import Step
from prunebench.plan.trial import Setting, Trial
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Pruner


class Branch:
    """The part of the tree under one data set, model, recovery and seed."""

    def __init__(
        self,
        identities: Identities,
        dataset: Chosen[Any],
        data: Step,
        model: Chosen[Model],
        recovery: Recipe | None,
        seed: int,
    ) -> None:
        self.suite = identities.suite
        layer = self.suite.target_layer(model)
        baseline = make_baseline(identities, model, data, seed)
        preparations = PreparationSteps(identities, data, seed)
        self.setting = Setting(dataset, data, model, recovery, seed, layer, baseline)
        self._networks = NetworkSteps(identities, data, baseline, recovery, seed, preparations)
        self._measurements = MeasurementSteps(identities, data, baseline, layer, seed, preparations)

    def trials(self, where: CellFilter | None) -> Iterator[Trial]:
        """Yield the baseline, the controls, then the networks of every pruner.

        The baseline and the controls come wherever anything beside them is chosen.
        """
        waiting: list[Trial] = []
        for trial in self._all():
            if trial.role != "compressed":
                waiting.append(trial)
                continue
            chosen = trial.select(where)
            if chosen.cells:
                yield from waiting
                waiting = []
                yield chosen
        if waiting and (where is None or any(trial.select(where).cells for trial in waiting)):
            yield from waiting

    def _all(self) -> Iterator[Trial]:
        baseline = self._trial("baseline", self.setting.baseline)
        yield baseline
        floor = self._trial("floor", self._networks.randomise(), against=baseline)
        # Measured by nothing but how much of the baseline's maps it preserves.
        kept = tuple(cell for cell in floor.cells if cell.step.has_parent("baseline_maps"))
        if kept:
            yield replace(floor, cells=kept, known=kept)
        # The control comes first, so that it is there before anything is compared with it.
        for pruner in sorted(self.suite.pruners, key=lambda each: not each.plugin.control):
            role = "control" if pruner.plugin.control else "compressed"
            for level, k, network in self._networks.compress(pruner):
                yield self._trial(role, network, pruner, level, k, against=baseline)

    def _trial(
        self,
        role: str,
        network: Step,
        pruner: Chosen[Pruner] | None = None,
        level: float | None = None,
        k: int | None = None,
        against: Trial | None = None,
    ) -> Trial:
        cells = self._measurements.measure(network)
        return Trial(role, self.setting, pruner, level, k, network, cells, cells, against)
