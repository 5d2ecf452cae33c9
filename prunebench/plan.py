"""From a suite to its graph: every network to be made, and every step behind its numbers.

Nothing here computes with tensors or touches a device; a million cells are planned in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prunebench.branch import Branch
from prunebench.datasets.downloads import NotDownloaded
from prunebench.digests import Digests
from prunebench.environment import Environment
from prunebench.metrics import Metric
from prunebench.plugins import Chosen
from prunebench.steps import blueprint, plugin_identity
from prunebench.suite import Suite
from prunebench.trial import Trial
from prunebench.where import Test


@dataclass(frozen=True)
class Planner:
    """Turns a suite into trials.

    Args:
        suite: What to measure.
        environment: Where it will run; enters keys as far as results depend on it.
        digests: Digests of data and weights.
        counting: Whether to plan without data sets that a run would download first. What is
            counted is right, unless two of them turn out to be the same; the keys are not those
            that the run will have.
    """

    suite: Suite
    environment: Environment
    digests: Digests
    counting: bool = False

    def trials(self, where: Test | None = None) -> Iterator[Trial]:
        """Every network of the suite, in the suite's order.

        The baseline and the controls are in wherever anything beside them is chosen.

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
            try:
                found = plugin_identity(chosen.name, chosen.plugin, self.digests)
            except NotDownloaded:
                if not self.counting:
                    raise
                found = {"label": chosen.label, "content": "not downloaded"}
            self._identities[id(chosen)] = found
        return self._identities[id(chosen)]

    def to_download(self) -> list[str]:
        """Labels of the data sets that were planned without their files, and wait for them."""
        return [one.label for one in self.suite.datasets if "label" in self.identity(one)]

    @cached_property
    def _identities(self) -> dict[int, dict[str, Any]]:
        return {}

    @cached_property
    def _explaining(self) -> tuple[tuple[Chosen[Any], dict[str, Any]], ...]:
        return tuple((cam, self.identity(cam)) for cam in self.suite.cams)

    @cached_property
    def _scoring(self) -> tuple[tuple[Chosen[Metric], dict[str, Any]], ...]:
        return tuple((metric, self.identity(metric)) for metric in self.suite.metrics)
