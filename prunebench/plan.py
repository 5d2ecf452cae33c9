"""From a suite to its graph: every network to be made, and every step behind its numbers.

Nothing here computes with tensors or touches a device; a million cells are planned in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from prunebench.digests import Digests
from prunebench.environment import Environment
from prunebench.metrics import Metric
from prunebench.plugins import Chosen
from prunebench.pruners import Preparation, Pruner
from prunebench.recipe import Recipe
from prunebench.steps import Blueprint, Step, blueprint, plugin_identity
from prunebench.suite import Suite, reads_maps
from prunebench.where import Test

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
            ``none`` pruner) or ``compressed``.
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

    def fields(self) -> dict[str, Any]:
        """What ``--where`` may ask about, but for ``cam`` and ``metric``."""
        return {
            "dataset": self.branch.dataset.name,
            "model": self.branch.model.name,
            "pruner": self.pruner.name if self.pruner else "baseline",
            "level": self.level,
            "round": self.round,
            "seed": self.branch.seed,
        }


@dataclass(frozen=True)
class Planner:
    """Turns a suite into trials.

    Args:
        suite: What to measure.
        environment: Where it will run; enters keys as far as results depend on it.
        digests: Digests of data and weights.
    """

    suite: Suite
    environment: Environment
    digests: Digests

    def trials(self, where: Test | None = None) -> Iterator[Trial]:
        """Every network of the suite, in the suite's order.

        The baseline and the control are in wherever anything beside them is chosen.

        Args:
            where: Chooses cells; all by default.
        """
        for dataset in self.suite.datasets:
            data = blueprint("dataset", plugin=dataset, identity=self.identity(dataset)).step()
            for model in self.suite.models:
                for recovery in self.suite.recoveries:
                    for seed in self.suite.seeds:
                        branch = Branch(self, dataset, data, model, recovery, seed)
                        yield from branch.trials(where)

    def identity(self, chosen: Chosen[Any]) -> dict[str, Any]:
        """What enters the key of a plugin of the suite."""
        # Once a plan, since a data set may have very many files. By object: the suite keeps it,
        # and not every parameter can be hashed.
        if id(chosen) not in self._identities:
            found = plugin_identity(chosen.name, chosen.plugin, self.digests)
            self._identities[id(chosen)] = found
        return self._identities[id(chosen)]

    @cached_property
    def _identities(self) -> dict[int, dict[str, Any]]:
        return {}

    @cached_property
    def _explaining(self) -> tuple[tuple[Chosen[Any], dict[str, Any]], ...]:
        return tuple((cam, self.identity(cam)) for cam in self.suite.cams)

    @cached_property
    def _scoring(self) -> tuple[tuple[Chosen[Metric], dict[str, Any]], ...]:
        return tuple((metric, self.identity(metric)) for metric in self.suite.metrics)


class Branch:
    """The part of the tree under one data set, model, recovery and seed."""

    def __init__(
        self,
        planner: Planner,
        dataset: Chosen[Any],
        data: Step,
        model: Chosen[Any],
        recovery: Recipe | None,
        seed: int,
    ) -> None:
        self.planner = planner
        self.suite = planner.suite
        self.dataset = dataset
        self.data = data
        self.model = model
        self.recovery = recovery
        self.seed = seed
        self.target_layer = self.suite.target_layer(model)
        self.baseline = self._baseline()
        environment = planner.environment
        self._predicted = blueprint("predicted", environment=environment)
        self._targets = blueprint(
            "targets",
            options={"images": self.suite.explain.images, "classes": self.suite.explain.classes},
        )
        self._explained = [
            blueprint(
                "explained",
                plugin=cam,
                identity=identity,
                options={"target_layer": self.target_layer},
                seed=seed if cam.plugin.random else None,
                environment=environment,
            )
            for cam, identity in planner._explaining
        ]
        self._scored = [
            blueprint(
                "scored",
                plugin=metric,
                identity=identity,
                seed=seed if metric.plugin.random else None,
                environment=environment,
                carries=metric.plugin.carries,
            )
            for metric, identity in planner._scoring
        ]
        self._recovered = self._recovery()
        self._base_predicted = self._predicted.step(("network", self.baseline), ("data", self.data))
        self._base_maps = self._maps(self.baseline, self._base_predicted)
        self.untouched = self._trial("baseline", None, None, None, self.baseline)

    def _baseline(self) -> Step:
        plugin = self.model.plugin
        trained = plugin.trained() and plugin.adapt is None
        return blueprint(
            "baseline",
            plugin=self.model,
            identity=self.planner.identity(self.model),
            seed=None if trained else self.seed,
            environment=self.planner.environment,
            carries="portable" if trained else "numeric",
        ).step(("data", self.data))

    def _recovery(self) -> Blueprint | None:
        if self.recovery is None or self.recovery.epochs == 0:
            return None
        return blueprint(
            "recovered",
            options={"recipe": self.recovery.model_dump(mode="json", exclude_defaults=True)},
            seed=self.seed,
            environment=self.planner.environment,
        )

    def trials(self, where: Test | None) -> Iterator[Trial]:
        """The baseline, then the networks of every pruner."""
        waiting = [self.untouched]
        for trial in self._compressed():
            if trial.role == "control":
                waiting.append(trial)
                continue
            chosen = _select(trial, where)
            if chosen.cells:
                yield from waiting
                waiting = []
                yield chosen
        if waiting and (where is None or any(_select(trial, where).cells for trial in waiting)):
            yield from waiting

    def _compressed(self) -> Iterator[Trial]:
        # The control comes first, so that it is there before anything is compared with it.
        pruners = sorted(self.suite.pruners, key=lambda pruner: not _is_control(pruner))
        for pruner in pruners:
            make = _Compression(self, pruner)
            role = "control" if _is_control(pruner) else "compressed"
            if pruner.plugin.levels == "continuous":
                for level in self.suite.levels:
                    network = self.recovered(make.one_shot(level))
                    yield self._trial(role, pruner, level, None, network)
            elif pruner.plugin.levels == "rounds":
                count = pruner.plugin.round_count()
                wanted = self.suite.rounds or tuple(range(1, count + 1))
                network = self.baseline
                for k in range(1, min(count, max(wanted)) + 1):
                    network = self.recovered(make.next_round(k, network))
                    if k in wanted:
                        level = pruner.plugin.level_of_round(k)
                        yield self._trial(role, pruner, level, k, network)
            else:
                network = self.recovered(make.one_shot(None))
                yield self._trial(role, pruner, None, None, network)

    def recovered(self, compressed: Step) -> Step:
        """The network after recovery fine-tuning, if the suite has any."""
        if self._recovered is None:
            return compressed
        return self._recovered.step(("network", compressed), ("data", self.data))

    def _maps(self, network: Step, predicted: Step) -> tuple[Step, list[Step]]:
        policy = self.suite.explain.classes
        parents = [("data", self.data)]
        if policy != "label":
            chosen = predicted if policy == "own" else self._base_predicted
            parents.append(("predictions", chosen))
        targets = self._targets.step(*parents)
        return targets, [
            explained.step(("network", network), ("targets", targets), ("data", self.data))
            for explained in self._explained
        ]

    def _trial(
        self,
        role: str,
        pruner: Chosen[Pruner] | None,
        level: float | None,
        k: int | None,
        network: Step,
    ) -> Trial:
        predicted = self._predicted.step(("network", network), ("data", self.data))
        targets, maps = self._maps(network, predicted)
        _, base_maps = self._base_maps
        cells = []
        for scored in self._scored:
            metric = scored.plugin
            reads = metric.plugin.reads
            sources = {
                "network": network,
                "baseline": self.baseline,
                "predictions": predicted,
                "baseline_predictions": self._base_predicted,
            }
            parents = tuple([(role, sources[role]) for role in reads if role in sources])
            if "predictions" in reads or "baseline_predictions" in reads:
                parents += (("data", self.data),)
            if not reads_maps(metric.plugin):
                cells.append(Cell(None, metric.name, scored.step(*parents)))
                continue
            parents += (("targets", targets),)
            for cam, own, base in zip(self.suite.cams, maps, base_maps, strict=True):
                both = {"maps": own, "baseline_maps": base}
                step = scored.step(
                    *parents, *[(role, both[role]) for role in reads if role in both]
                )
                cells.append(Cell(cam.label, metric.name, step))
        return Trial(role, self, pruner, level, k, network, tuple(cells), tuple(cells))


def _is_control(pruner: Chosen[Pruner]) -> bool:
    return pruner.name == "none"


def _select(trial: Trial, where: Test | None) -> Trial:
    if where is None:
        return trial
    fields = trial.fields()
    cells = tuple(
        cell for cell in trial.cells if where(fields | {"cam": cell.cam, "metric": cell.metric})
    )
    return trial._replace(cells=cells)


class _Compression:
    """The steps of one pruner in one branch."""

    def __init__(self, branch: Branch, pruner: Chosen[Pruner]) -> None:
        self.branch = branch
        self.pruner = pruner
        self.identity = branch.planner.identity(pruner)
        self.prepared = tuple(
            (f"prepared:{preparation.name}", self._preparation(preparation))
            for preparation in pruner.plugin.prepare()
        )

    def _preparation(self, preparation: Preparation) -> Step:
        kind = type(preparation)
        name = f"{kind.__module__}:{kind.__qualname__}"
        needs = [(f"prepared:{need.name}", self._preparation(need)) for need in preparation.needs()]
        return blueprint(
            "prepared",
            plugin=preparation,
            identity=plugin_identity(name, preparation, self.branch.planner.digests),
            seed=self.branch.seed if preparation.random else None,
            environment=self.branch.planner.environment,
        ).step(("network", self.branch.baseline), ("data", self.branch.data), *needs)

    def _blueprint(self, options: dict[str, Any]) -> Blueprint:
        return blueprint(
            "compressed",
            plugin=self.pruner,
            identity=self.identity,
            options=options,
            seed=self.branch.seed if self.pruner.plugin.random else None,
            environment=self.branch.planner.environment,
        )

    def one_shot(self, level: float | None) -> Step:
        """A network compressed from the baseline."""
        return self._blueprint({"level": level}).step(
            ("network", self.branch.baseline), ("data", self.branch.data), *self.prepared
        )

    def next_round(self, k: int, previous: Step) -> Step:
        """A network compressed from the recovered network of the round before."""
        return self._blueprint({"round": k}).step(
            ("network", previous),
            ("baseline", self.branch.baseline),
            ("data", self.branch.data),
            *self.prepared,
        )
