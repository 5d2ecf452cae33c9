"""What is missing and what waits for what: tasks go to an executor as their parents are done."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from prunebench.execution.executors.executor import Executor
from prunebench.execution.tasks import Outcome, Task
from prunebench.plan.environment import Environment
from prunebench.plan.kinds import EXPLAINED, Kind
from prunebench.plan.steps import Step
from prunebench.plan.trial import Setting, Trial
from prunebench.progress import RunProgress
from prunebench.store import Store

BUSY_PAUSE = 0.5  # seconds before asking again whether another process is done


@dataclass
class Graph:
    """The steps that are missing, and what waits for what."""

    missing: dict[str, Step] = field(default_factory=dict)
    waits_for: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    trials_of: dict[str, list[Trial]] = field(default_factory=dict)
    open_steps: dict[Trial, set[str]] = field(default_factory=dict)
    complete: list[Trial] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, trials: Iterable[Trial], stored: set[str]) -> Graph:
        """The graph of all steps that trials demand and the store lacks."""
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
        self.waits_for[step.key] = waits
        for key in waits:
            self.children.setdefault(key, []).append(step.key)

    def settings_to_check(self, trials: Iterable[Trial]) -> list[Setting]:
        """Returns the settings in which a network, or its maps, are still to be made."""
        found = {
            trial.setting: None
            for trial in trials
            if any(self.missing[key].kind.preflight for key in self.open_steps[trial])
        }
        return list(found)

    def settle(self, key: str) -> list[Trial]:
        """Marks a step as settled, however it ended; returns trials that have no open step left."""
        done = []
        for trial in self.trials_of.get(key, ()):
            left = self.open_steps[trial]
            left.discard(key)
            if not left:
                done.append(trial)
        return done

    def block(self, key: str) -> list[str]:
        """Marks all that depends on a failed step; returns their keys."""
        found = []
        waiting = list(self.children.get(key, ()))
        while waiting:
            child = waiting.pop()
            if child not in self.blocked:
                self.blocked.add(child)
                found.append(child)
                waiting += self.children.get(child, ())
        return found


Shared = tuple[Kind, tuple[tuple[str, Step], ...], int | None]


def _shared(step: Step) -> Shared:
    """What steps have in common that are carried out together: they read the same.

    The seed too, since what a step computes must not depend on its company.
    """
    return step.kind, step.parents, step.seed


class Scheduler:
    """Hands tasks to an executor in the plan's order as their parents are done."""

    def __init__(
        self,
        graph: Graph,
        executor: Executor,
        store: Store,
        environment: Environment,
        progress: RunProgress,
        deadline: float | None,
    ) -> None:
        self.graph = graph
        self.executor = executor
        self.store = store
        self.environment = environment
        self.progress = progress
        self.deadline = deadline
        self.ready = {key for key in graph.missing if not graph.waits_for[key]}
        # The plan's order finishes one network before it begins the next.
        self.order = {key: place for place, key in enumerate(graph.missing)}
        self.queue = sorted((self.order[key], key) for key in self.ready)
        self.companions: dict[Shared, list[Step]] = {}
        for step in graph.missing.values():
            if step.kind.together:
                self.companions.setdefault(_shared(step), []).append(step)
        self.running: dict[Future[list[Outcome]], Task] = {}
        self.busy_until: dict[str, float] = {}

    def run(self, finished: Callable[[Trial], None]) -> None:
        """Runs until nothing is left, or the deadline has passed.

        Args:
            finished: Called with each trial that has no open step left.
        """
        for trial in self.graph.complete:
            finished(trial)
        while self.ready or self.running:
            while self.ready and len(self.running) < self.executor.slots and not self._late():
                task = self._next()
                if task is None:
                    break
                self._submit(task)
            if self.running:
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    self.running.pop(future)
                    for outcome in future.result():
                        for trial in self._settle(outcome):
                            finished(trial)
            elif self._late():
                return
            else:
                time.sleep(BUSY_PAUSE)  # all that is ready is under way in other processes

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def _make_ready(self, key: str) -> None:
        self.ready.add(key)
        heapq.heappush(self.queue, (self.order[key], key))

    def _next(self) -> Task | None:
        now = time.monotonic()
        waiting = []
        first = None
        while self.queue and first is None:
            place, key = heapq.heappop(self.queue)
            if key not in self.ready:
                continue  # taken along with another step
            if self.busy_until.get(key, 0) > now:
                waiting.append((place, key))
            else:
                first = self.graph.missing[key]
        for entry in waiting:
            heapq.heappush(self.queue, entry)
        if first is None:
            return None
        steps = [first, *self._companions(first, now)]
        self.ready.difference_update(step.key for step in steps)
        return Task(tuple(steps), self.store.root, self.environment)

    def _companions(self, first: Step, now: float) -> list[Step]:
        """Steps that are carried out as one task with this one."""
        if not first.kind.together:
            return []
        return [
            step
            for step in self.companions[_shared(first)]
            if step.key != first.key
            and step.key in self.ready
            and self.busy_until.get(step.key, 0) <= now
        ]

    def _submit(self, task: Task) -> None:
        step = task.steps[0]
        self.progress.working(step)
        future = self.executor.submit(
            task, lambda fraction, text: self.progress.working(step, fraction, text)
        )
        self.running[future] = task

    def _settle(self, outcome: Outcome) -> list[Trial]:
        graph, key = self.graph, outcome.key
        if outcome.status == "busy":
            self.busy_until[key] = time.monotonic() + BUSY_PAUSE
            self._make_ready(key)
            return []
        settled = graph.settle(key)
        self.progress.advance(1)
        if outcome.status == "failed":
            step = graph.missing[key]
            graph.failed[key] = outcome.message
            self.progress.say(f"failed: {step!r}: {outcome.message}")
            for blocked in graph.block(key):
                self.progress.advance(1)
                settled += graph.settle(blocked)
            return settled
        for child in graph.children.get(key, ()):
            graph.waits_for[child].discard(key)
            if not graph.waits_for[child] and child not in graph.blocked:
                self._make_ready(child)
        return settled
