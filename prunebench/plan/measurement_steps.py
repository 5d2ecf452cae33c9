"""The steps that measure a network: predictions, maps, and the metrics that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prunebench.cams import Cam
from prunebench.metrics import Metric
from prunebench.metrics.inputs import parent_roles
from prunebench.plan.keys import Blueprint, Identities, blueprint
from prunebench.plan.preparation_steps import PreparationSteps, Prepare
from prunebench.plan.step_kinds import EXPLAINED, MASKED, PREDICTED, SCORED, TARGETS, Kind
from prunebench.plan.steps import Step
from prunebench.plan.trial import Cell
from prunebench.plugins import Chosen


class MapSteps(NamedTuple):
    """The steps of one explanation method."""

    cam: Chosen[Cam]
    prepare: Prepare
    explained: Blueprint
    masked: Blueprint


class ScoreSteps(NamedTuple):
    """The steps of one metric, and the roles of those that it reads: see ``parent_roles``."""

    metric: Chosen[Metric]
    scored: Blueprint
    once: list[str]
    of_maps: list[str]


class MeasurementSteps:
    """Measures the networks of one baseline.

    Args:
        identities: What enters keys.
        data: The data set's step.
        baseline: The uncompressed network's step.
        target_layer: The layer explained.
        seed: The experiment's seed.
        preparations: Makes what explanation methods prepare.
    """

    def __init__(
        self,
        identities: Identities,
        data: Step,
        baseline: Step,
        target_layer: str,
        seed: int,
        preparations: PreparationSteps,
    ) -> None:
        self.identities = identities
        self.suite = identities.suite
        self.data = data
        self.baseline = baseline
        self.target_layer = target_layer
        self.seed = seed
        self._predicted = blueprint(PREDICTED, environment=identities.environment)
        explain = self.suite.explain
        self._targets = blueprint(
            TARGETS, options={"images": explain.images, "classes": explain.classes}
        )
        self._explanations = [
            MapSteps(
                cam,
                preparations.of(cam.plugin),
                *[
                    self._of_plugin(kind, cam, {"target_layer": target_layer})
                    for kind in (EXPLAINED, MASKED)
                ],
            )
            for cam in self.suite.cams
        ]
        self._scores = [
            ScoreSteps(metric, self._of_plugin(SCORED, metric), *parent_roles(metric.plugin))
            for metric in self.suite.metrics
        ]
        self._base_predicted = self._predict(baseline)
        targets = self._target(self._base_predicted)
        self._base_maps = self._explain(baseline, targets, self._explanations)

    def measure(self, network: Step, anew: PreparationSteps | None = None) -> tuple[Cell, ...]:
        """Return all cells of a network.

        Args:
            network: Its step.
            anew: Makes what explanation methods prepare of it, in place of what made it for the
                baseline's maps.
        """
        return tuple(self._cells(network, self._prepare_anew(anew)))

    def _prepare_anew(self, anew: PreparationSteps | None) -> list[MapSteps]:
        if anew is None:
            return self._explanations
        return [each._replace(prepare=anew.of(each.cam.plugin)) for each in self._explanations]

    def _cells(self, network: Step, explanations: list[MapSteps]) -> Iterator[Cell]:
        predicted = self._predict(network)
        targets = self._target(predicted)
        maps = self._explain(network, targets, explanations)
        steps = {
            "network": network,
            "baseline": self.baseline,
            "predictions": predicted,
            "baseline_predictions": self._base_predicted,
            "data": self.data,
            "targets": targets,
        }
        for score in self._scores:
            once = [(role, steps[role]) for role in score.once]
            if not score.of_maps:
                yield Cell(None, score.metric.name, score.scored.step(*once))
                continue
            for number, explanation in enumerate(explanations):
                of_maps = {"maps": maps[number], "baseline_maps": self._base_maps[number]}
                if "masked" in score.of_maps:
                    of_maps["masked"] = self._mask(explanation, steps, maps[number])
                parents = [*once, *((role, of_maps[role]) for role in score.of_maps)]
                step = score.scored.step(*parents)
                yield Cell(explanation.cam.label, score.metric.name, step)

    def _of_plugin(
        self, kind: Kind, chosen: Chosen[Any], options: dict[str, Any] | None = None
    ) -> Blueprint:
        """Describe what all steps of a kind share that one plugin carries out."""
        plugin = chosen.plugin
        return blueprint(
            kind,
            plugin=chosen,
            identity=self.identities.of(chosen),
            options=options,
            seed=self.seed if plugin.random else None,
            environment=self.identities.environment,
            carries=getattr(plugin, "carries", None),
        )

    def _predict(self, network: Step) -> Step:
        return self._predicted.step(("network", network), ("data", self.data))

    def _target(self, predicted: Step) -> Step:
        """Make the step that chooses the classes explained in a network, by the suite's policy."""
        policy = self.suite.explain.classes
        if policy == "label":
            return self._targets.step(("data", self.data))
        chosen = predicted if policy == "own" else self._base_predicted
        return self._targets.step(("data", self.data), ("predictions", chosen))

    def _explain(self, network: Step, targets: Step, explanations: list[MapSteps]) -> list[Step]:
        """Make the steps of a network's maps, by each explanation method."""
        shown = (("network", network), ("targets", targets), ("data", self.data))
        return [each.explained.step(*shown, *each.prepare(network)) for each in explanations]

    def _mask(self, explanation: MapSteps, steps: Mapping[str, Step], maps: Step) -> Step:
        """Make the step of maps and predictions of the images multiplied by their maps."""
        network = steps["network"]
        return explanation.masked.step(
            ("network", network),
            ("maps", maps),
            ("targets", steps["targets"]),
            ("data", self.data),
            *explanation.prepare(network),
        )
