"""The part of the tree under one data set, model, recovery and seed: its networks, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        self._twin = make_baseline(identities, model, data, _next_to(seed, self.suite.seeds))
        self._networks = NetworkSteps(identities, data, baseline, recovery, seed, preparations)
        self._measurements = MeasurementSteps(identities, data, baseline, layer, seed, preparations)
        self._anew = PreparationSteps(identities, data, seed + 1)

    def trials(self, where: CellFilter | None) -> Iterator[Trial]:
        """Yield the baseline, the controls, then the networks of every pruner.

        The baseline and the controls come wherever anything beside them is chosen.
        """
        waiting: list[Trial] = []
        for trial in self._all():
            if trial.role not in ("small", "compressed"):
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
        yield from self._references(baseline)
        # The control comes first, so that it is there before anything is compared with it.
        for pruner in sorted(self.suite.pruners, key=lambda each: not each.plugin.control):
            role = _role_of(pruner.plugin)
            for level, k, network in self._networks.compress(pruner):
                yield self._trial(role, network, pruner, level, k, against=baseline)

    def _references(self, baseline: Trial) -> Iterator[Trial]:
        """Yield the networks between which preservation is read, where maps are compared at all."""
        if not any(cell.step.has_parent("baseline_maps") for cell in baseline.cells):
            return
        # Measured by nothing but how much of the baseline's maps it preserves.
        floor = self._trial("floor", self._networks.randomise(), against=baseline)
        yield _keep(floor, lambda step: step.has_parent("baseline_maps"))
        if self._twin != self.setting.baseline:
            twin = self._trial("twin", self._twin, against=baseline)
            yield _keep(twin, _is_compared)
        cells = self._measurements.measure(self.setting.baseline, self._anew)
        retrained = replace(baseline, role="retrained", cells=cells, baseline=baseline)
        retrained = _keep(retrained, _is_of_other_maps)
        if retrained.cells:
            yield retrained

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


def _role_of(pruner: Pruner) -> str:
    if pruner.from_scratch:
        return "small"
    return "control" if pruner.control else "compressed"


def _next_to(seed: int, seeds: tuple[int, ...]) -> int:
    """Return the seed after another in a suite's list, of the last one the first."""
    return seeds[(seeds.index(seed) + 1) % len(seeds)]


def _keep(trial: Trial, wanted: Callable[[Step], bool]) -> Trial:
    """Return a network that is measured by a part of the suite's metrics alone."""
    kept = tuple(cell for cell in trial.cells if wanted(cell.step))
    return replace(trial, cells=kept, known=kept)


def _is_compared(step: Step) -> bool:
    """Tell whether the baseline's maps are compared with its own, or its answers are judged."""
    if step.has_parent("maps"):
        return step.has_parent("baseline_maps")
    return step.has_parent("predictions")


def _is_of_other_maps(step: Step) -> bool:
    """Tell whether the baseline's maps are compared with others of the same network."""
    return step.has_parent("baseline_maps") and step.parent("maps") != step.parent("baseline_maps")
