"""The steps of one compression method: what it prepares, and its levels or rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prunebench.plugins import Chosen
from prunebench.pruners import Pruner
from prunebench.steps import Blueprint, Step, blueprint

if TYPE_CHECKING:
    from prunebench.branch import Branch


class Compression:
    """The steps of one pruner in one branch."""

    def __init__(self, branch: Branch, pruner: Chosen[Pruner]) -> None:
        self.branch = branch
        self.pruner = pruner
        self.identity = branch.planner.identity(pruner)
        self.prepared = branch.prepared(pruner.plugin, branch.baseline)

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
