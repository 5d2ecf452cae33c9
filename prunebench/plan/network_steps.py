"""The steps that make networks: the baseline, and what compression and training make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from prunebench.models import Model
from prunebench.plan.keys import Blueprint, Identities, blueprint
from prunebench.plan.preparation_steps import PreparationSteps
from prunebench.plan.step_kinds import BASELINE, COMPRESSED, RANDOMISED, RECOVERED
from prunebench.plan.steps import Step
from prunebench.plugins import Chosen
from prunebench.plugins.recipe import Recipe
from prunebench.pruners import Pruner


def make_baseline(identities: Identities, model: Chosen[Model], data: Step, seed: int) -> Step:
    """Return the step of the uncompressed network."""
    as_it_comes = model.plugin.trained() and model.plugin.adapt is None
    return blueprint(
        BASELINE,
        plugin=model,
        identity=identities.of(model),
        seed=None if as_it_comes else seed,
        environment=identities.environment,
        carries="portable" if as_it_comes else "numeric",
    ).step(("data", data))


class Made(NamedTuple):
    """A network of a pruner: at which level, in which round, and the step that makes it."""

    level: float | None
    round: int | None
    network: Step


@dataclass(frozen=True)
class NetworkSteps:
    """Makes the networks of one baseline.

    Attributes:
        identities: What enters keys.
        data: The data set's step.
        baseline: The uncompressed network's step.
        recovery: Fine-tuning after compression; None for none.
        seed: The experiment's seed.
        preparations: Makes what pruners prepare.
    """

    identities: Identities
    data: Step
    baseline: Step
    recovery: Recipe | None
    seed: int
    preparations: PreparationSteps

    def randomise(self) -> Step:
        """Return the baseline's architecture with random weights."""
        environment = self.identities.environment
        drawn = blueprint(RANDOMISED, seed=self.seed, environment=environment)
        return drawn.step(("network", self.baseline))

    def compress(self, pruner: Chosen[Pruner]) -> Iterator[Made]:
        """Yield a pruner's networks: one a level, one a round, or one alone."""
        if pruner.plugin.levels == "rounds":
            yield from self._rounds(pruner)
            return
        continuous = pruner.plugin.levels == "continuous"
        levels = self.identities.suite.levels_of(pruner.plugin) if continuous else (None,)
        parents = (("network", self.baseline), ("data", self.data), *self._prepared(pruner))
        for level in levels:
            compressed = self._compressed(pruner, {"level": level}).step(*parents)
            yield Made(level, None, self._recover(compressed))

    def _rounds(self, pruner: Chosen[Pruner]) -> Iterator[Made]:
        """Yield each round, made from the fine-tuned network of the round before."""
        count = pruner.plugin.round_count()
        wanted = self.identities.suite.rounds or tuple(range(1, count + 1))
        shared = (("baseline", self.baseline), ("data", self.data), *self._prepared(pruner))
        network = self.baseline
        for k in range(1, min(count, max(wanted)) + 1):
            compressed = self._compressed(pruner, {"round": k}).step(("network", network), *shared)
            network = self._recover(compressed)
            if k in wanted:
                yield Made(pruner.plugin.level_of_round(k), k, network)

    def _prepared(self, pruner: Chosen[Pruner]) -> tuple[tuple[str, Step], ...]:
        return self.preparations.of(pruner.plugin)(self.baseline)

    def _compressed(self, pruner: Chosen[Pruner], options: dict[str, Any]) -> Blueprint:
        return blueprint(
            COMPRESSED,
            plugin=pruner,
            identity=self.identities.of(pruner),
            options=options,
            seed=self.seed if pruner.plugin.random else None,
            environment=self.identities.environment,
        )

    def _recover(self, compressed: Step) -> Step:
        """Return the network after fine-tuning, if the suite has any."""
        if self._recovered is None:
            return compressed
        parents = [("network", compressed), ("data", self.data)]
        if self.recovery is not None and self.recovery.distillation is not None:
            parents.append(("teacher", self.baseline))
        return self._recovered.step(*parents)

    @cached_property
    def _recovered(self) -> Blueprint | None:
        if self.recovery is None or self.recovery.epochs == 0:
            return None
        return blueprint(
            RECOVERED,
            options={"recipe": self.recovery.model_dump(mode="json", exclude_defaults=True)},
            seed=self.seed,
            environment=self.identities.environment,
        )
