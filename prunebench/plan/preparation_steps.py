"""The steps of what methods prepare: computed once of a network, before any level or any map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prunebench.cams import Cam
from prunebench.plan.keys import Identities, blueprint, plugin_identity
from prunebench.plan.step_kinds import PREPARED
from prunebench.plan.steps import Step
from prunebench.plugins.context import Preparation
from prunebench.pruners import Pruner

Prepare = Callable[[Step], tuple[tuple[str, Step], ...]]
"""From a network's step to the steps of what a method prepares of it, by their roles."""


@dataclass(frozen=True)
class PreparationSteps:
    """Makes the steps of preparations under one data set and seed."""

    identities: Identities
    data: Step
    seed: int

    def of(self, method: Cam | Pruner) -> Prepare:
        """Return what makes a method's preparations of a network."""
        makers = [self._maker(preparation) for preparation in method.prepare()]
        return lambda network: tuple(make(network) for make in makers)

    def _maker(self, preparation: Preparation) -> Callable[[Step], tuple[str, Step]]:
        """Return what makes one preparation's step, with its role."""
        before = [self._maker(need) for need in preparation.needs()]
        identity = plugin_identity(preparation.key_name, preparation, self.identities.digests)
        prepared = blueprint(
            PREPARED,
            plugin=preparation,
            identity=identity,
            seed=self.seed if preparation.random else None,
            environment=self.identities.environment,
        )

        def make(network: Step) -> tuple[str, Step]:
            parents = (("network", network), ("data", self.data))
            step = prepared.step(*parents, *[each(network) for each in before])
            return f"prepared:{preparation.name}", step

        return make
