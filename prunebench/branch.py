"""The part of the tree under one data set, model, recovery and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from prunebench.cams import Cam
from prunebench.compression import Compression
from prunebench.context import Preparation
from prunebench.metrics import Metric
from prunebench.plugins import Chosen
from prunebench.pruners import Pruner
from prunebench.recipe import Recipe
from prunebench.steps import Blueprint, Step, blueprint, plugin_identity
from prunebench.suite import reads_maps
from prunebench.trial import Cell, Trial
from prunebench.where import Test

if TYPE_CHECKING:
    from prunebench.plan import Planner


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
        self._preparations: dict[int, list[Callable[[Step], tuple[str, Step]]]] = {}
        self.baseline = self._baseline()
        environment = planner.environment
        self._predicted = blueprint("predicted", environment=environment)
        self._targets = blueprint(
            "targets",
            options={"images": self.suite.explain.images, "classes": self.suite.explain.classes},
        )
        self._explained, self._masked = (
            [
                blueprint(
                    kind,
                    plugin=cam,
                    identity=identity,
                    options={"target_layer": self.target_layer},
                    seed=seed if cam.plugin.random else None,
                    environment=environment,
                )
                for cam, identity in planner._explaining
            ]
            for kind in ("explained", "masked")
        )
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
        self.floor = self._floor()

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

    def _floor(self) -> Trial:
        """Random weights, measured only by how much of the baseline's maps they preserve."""
        network = blueprint(
            "randomised", seed=self.seed, environment=self.planner.environment
        ).step(("network", self.baseline))
        trial = self._trial("floor", None, None, None, network)
        cells = tuple(cell for cell in trial.cells if cell.step.has_parent("baseline_maps"))
        return trial._replace(cells=cells, known=cells)

    def trials(self, where: Test | None) -> Iterator[Trial]:
        """The baseline, the controls, then the networks of every pruner."""
        waiting = [self.untouched, self.floor] if self.floor.cells else [self.untouched]
        for trial in self._compressed():
            if trial.role == "control":
                waiting.append(trial)
                continue
            chosen = trial.select(where)
            if chosen.cells:
                yield from waiting
                waiting = []
                yield chosen
        if waiting and (where is None or any(trial.select(where).cells for trial in waiting)):
            yield from waiting

    def _compressed(self) -> Iterator[Trial]:
        # The control comes first, so that it is there before anything is compared with it.
        pruners = sorted(self.suite.pruners, key=lambda pruner: not _is_control(pruner))
        for pruner in pruners:
            make = Compression(self, pruner)
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
        parents = [("network", compressed), ("data", self.data)]
        if self.recovery is not None and self.recovery.distillation is not None:
            parents.append(("teacher", self.baseline))
        return self._recovered.step(*parents)

    def _maps(self, network: Step, predicted: Step) -> tuple[Step, list[Step]]:
        policy = self.suite.explain.classes
        parents = [("data", self.data)]
        if policy != "label":
            chosen = predicted if policy == "own" else self._base_predicted
            parents.append(("predictions", chosen))
        targets = self._targets.step(*parents)
        shown = (("network", network), ("targets", targets), ("data", self.data))
        return targets, [
            explained.step(*shown, *self.prepared(explained.plugin.plugin, network))
            for explained in self._explained
        ]

    def prepared(self, plugin: Cam | Pruner, network: Step) -> tuple[tuple[str, Step], ...]:
        """What a method prepares of a network, as parents of its steps."""
        # Once a branch: there may be very many networks.
        if id(plugin) not in self._preparations:
            self._preparations[id(plugin)] = [self._preparing(each) for each in plugin.prepare()]
        return tuple(make(network) for make in self._preparations[id(plugin)])

    def _preparing(self, preparation: Preparation) -> Callable[[Step], tuple[str, Step]]:
        """What makes the step of a preparation for a network, with its role."""
        kind = type(preparation)
        name = f"{kind.__module__}:{kind.__qualname__}"
        needs = [self._preparing(need) for need in preparation.needs()]
        prepared = blueprint(
            "prepared",
            plugin=preparation,
            identity=plugin_identity(name, preparation, self.planner.digests),
            seed=self.seed if preparation.random else None,
            environment=self.planner.environment,
        )

        def make(network: Step) -> tuple[str, Step]:
            needed = [need(network) for need in needs]
            step = prepared.step(("network", network), ("data", self.data), *needed)
            return f"prepared:{preparation.name}", step

        return make

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
        cells = []
        for scored in self._scored:
            metric = scored.plugin
            parents = tuple(self._read(metric.plugin, network, predicted, targets))
            if not reads_maps(metric.plugin):
                cells.append(Cell(None, metric.name, scored.step(*parents)))
                continue
            for place, cam in enumerate(self.suite.cams):
                of_maps = self._read_maps(metric.plugin, place, network, maps[place], targets)
                cells.append(Cell(cam.label, metric.name, scored.step(*parents, *of_maps)))
        return Trial(role, self, pruner, level, k, network, tuple(cells), tuple(cells))

    def _read(
        self, metric: Metric, network: Step, predicted: Step, targets: Step
    ) -> Iterator[tuple[str, Step]]:
        """What a metric reads that is the same for every explanation method."""
        reads = metric.reads
        sources = {
            "network": network,
            "baseline": self.baseline,
            "predictions": predicted,
            "baseline_predictions": self._base_predicted,
        }
        for role in reads:
            if role in sources:
                yield role, sources[role]
        if "images" in reads and "network" not in reads:  # its normalisation is needed
            yield "network", network
        if not {"predictions", "baseline_predictions", "images", "masks"}.isdisjoint(reads):
            yield "data", self.data
        if reads_maps(metric) or not {"images", "masks"}.isdisjoint(reads):
            yield "targets", targets

    def _read_maps(
        self, metric: Metric, cam: int, network: Step, maps: Step, targets: Step
    ) -> Iterator[tuple[str, Step]]:
        """What a metric reads of one explanation method; always its maps, which name it."""
        for role in metric.reads:
            if role == "baseline_maps":
                yield role, self._base_maps[1][cam]
            elif role == "masked":
                shown = (("network", network), ("maps", maps), ("targets", targets))
                learnt = [pair for pair in maps.parents if pair[1].kind == "prepared"]
                yield role, self._masked[cam].step(*shown, ("data", self.data), *learnt)
            elif role == "maps":
                yield role, maps
        if "maps" not in metric.reads:
            yield "maps", maps


def _is_control(pruner: Chosen[Pruner]) -> bool:
    return pruner.name == "none"
