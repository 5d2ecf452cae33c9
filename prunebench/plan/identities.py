"""What the plugins of a suite are in keys: each is looked at once a plan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prunebench.datasets.downloads import NotDownloaded
from prunebench.plan.environment import Environment
from prunebench.plan.steps import plugin_identity
from prunebench.plugins import Chosen
from prunebench.store.digests import Digests
from prunebench.suite import Suite


@dataclass(frozen=True)
class Identities:
    """What enters keys beside the tree itself.

    Attributes:
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

    def of(self, chosen: Chosen[Any]) -> dict[str, Any]:
        """Return what enters the key of a plugin of the suite.

        Raises:
            NotDownloaded: Its files are not here yet, and the plan is not only counted.
        """
        # Once a plan, since a data set may have very many files. A suite lists no label twice.
        name = (chosen.kind, chosen.label)
        if name not in self._found:
            self._found[name] = self._look_at(chosen)
        return self._found[name]

    def _look_at(self, chosen: Chosen[Any]) -> dict[str, Any]:
        try:
            return plugin_identity(chosen.name, chosen.plugin, self.digests)
        except NotDownloaded:
            if not self.counting:
                raise
            return {"label": chosen.label, "content": "not downloaded"}

    def to_download(self) -> list[str]:
        """Return labels of the data sets that were planned without their files."""
        return [one.label for one in self.suite.datasets if "label" in self.of(one)]

    @cached_property
    def _found(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {}
