"""What is missing from the store, and what waits for what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from prunebench.plan.step_kinds import EXPLAINED
from prunebench.plan.steps import Step
from prunebench.plan.trial import Setting, Trial


@dataclass
class Graph:
    """The steps that are missing, and what waits for what.

    Attributes:
        missing: By key, in the order of the plan: parents first.
        waiting: Tells which of them can be carried out, as others are done.
        children: By key, those that read its result.
        trials_of: By key, the trials that need it.
        open_steps: Of each trial, the keys that are neither done nor given up.
        complete: Trials of which nothing is missing.
        failed: By key, why a step failed.
        blocked: Keys of steps that a failure left undone.
    """

    missing: dict[str, Step] = field(default_factory=dict)
    waiting: TopologicalSorter[str] = field(default_factory=TopologicalSorter)
    children: dict[str, list[str]] = field(default_factory=dict)
    trials_of: dict[str, list[Trial]] = field(default_factory=dict)
    open_steps: dict[Trial, set[str]] = field(default_factory=dict)
    complete: list[Trial] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, trials: Iterable[Trial], stored: set[str]) -> Graph:
        """Build the graph of all steps that trials demand and the store lacks."""
        graph = cls()
        for trial in trials:
            demanded = trial.network.lineage()  # the record tells of all of them
            demanded += [step for one in demanded for step in one.prepared().values()]
            demanded += [cell.step for cell in trial.cells]
            demanded += [  # the record shows these
                step
                for cell in trial.cells
                for _, step in cell.step.parents
                if step.kind == EXPLAINED
            ]
            # Drops are taken from the baseline's own accuracy.
            demanded += [c.step for c in trial.compared_with.known if c.metric == "accuracy"]
            needed: set[str] = set()
            for step in demanded:
                graph._demand(step, stored, needed)
            graph.open_steps[trial] = needed
            for key in needed:
                graph.trials_of.setdefault(key, []).append(trial)
            if not needed:
                graph.complete.append(trial)
        graph.waiting.prepare()
        return graph

    def _demand(self, step: Step, stored: set[str], needed: set[str]) -> None:
        if not step.kind.run or step.key in stored or step.key in needed:
            return
        needed.add(step.key)
        for _, parent in step.parents:
            self._demand(parent, stored, needed)
        if step.key in self.missing:
            return
        # Parents first: the order of this mapping is the order of execution.
        self.missing[step.key] = step
        waits = {parent.key for _, parent in step.parents if parent.key in self.missing}
        self.waiting.add(step.key, *waits)
        for key in waits:
            self.children.setdefault(key, []).append(step.key)

    def settings_to_check(self, trials: Iterable[Trial]) -> list[Setting]:
        """Return the settings in which a network, or its maps, are still to be made."""
        found = {
            trial.setting: None
            for trial in trials
            if any(self.missing[key].kind.preflight for key in self.open_steps[trial])
        }
        return list(found)

    def settle(self, key: str) -> list[Trial]:
        """Mark a step as settled, however it ended; return trials that have no open step left."""
        done = []
        for trial in self.trials_of.get(key, ()):
            left = self.open_steps[trial]
            left.discard(key)
            if not left:
                done.append(trial)
        return done

    def block(self, key: str) -> list[str]:
        """Mark all that depends on a failed step; return their keys."""
        found = []
        waiting = list(self.children.get(key, ()))
        while waiting:
            child = waiting.pop()
            if child not in self.blocked:
                self.blocked.add(child)
                found.append(child)
                waiting += self.children.get(child, ())
        return found
