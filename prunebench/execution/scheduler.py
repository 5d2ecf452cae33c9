"""Which step runs next: tasks go to an executor, in the plan's order, as their parents are done."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from prunebench.execution.executors.executor import Executor
from prunebench.execution.graph import Graph
from prunebench.execution.progress import RunProgress
from prunebench.execution.tasks import Outcome, Task
from prunebench.plan.environment import Environment
from prunebench.plan.step_kinds import Kind
from prunebench.plan.steps import Step
from prunebench.plan.trial import Trial
from prunebench.store import Store

BUSY_PAUSE = 0.5  # seconds before asking again whether another process is done


Shared = tuple[Kind, tuple[tuple[str, Step], ...], int | None]


def _what_is_shared(step: Step) -> Shared:
    """Return what steps have in common that are carried out together: they read the same.

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
        # The plan's order finishes one network before it begins the next.
        self.order = {key: number for number, key in enumerate(graph.missing)}
        if executor.slots > 1:  # but what must run alone would keep the other slots idle each time
            for key, step in graph.missing.items():
                self.order[key] += step.runs_alone * len(graph.missing)
        self.ready: set[str] = set()
        self.queue: list[tuple[int, str]] = []
        self._make_ready(graph.waiting.get_ready())
        self.companions: dict[Shared, list[Step]] = {}
        for step in graph.missing.values():
            if step.kind.together:
                self.companions.setdefault(_what_is_shared(step), []).append(step)
        self.running: dict[Future[list[Outcome]], Task] = {}
        self.busy_until: dict[str, float] = {}

    def run(self, finished: Callable[[Trial], None]) -> None:
        """Run until nothing is left, or the deadline has passed.

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

    def _make_ready(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.ready.add(key)
            heapq.heappush(self.queue, (self.order[key], key))

    def _next(self) -> Task | None:
        if any(task.runs_alone for task in self.running.values()):
            return None
        now = time.monotonic()
        waiting = []
        first = None
        while self.queue and first is None:
            number, key = heapq.heappop(self.queue)
            if key not in self.ready:
                continue  # taken along with another step
            alone = self.graph.missing[key].runs_alone
            if self.busy_until.get(key, 0) > now or (alone and self.running):
                waiting.append((number, key))
            else:
                first = self.graph.missing[key]
        for entry in waiting:
            heapq.heappush(self.queue, entry)
        if first is None:
            return None
        steps = [first, *self._find_companions(first, now)]
        self.ready.difference_update(step.key for step in steps)
        return Task(tuple(steps), self.store.root, self.environment, self.store.trusted)

    def _find_companions(self, first: Step, now: float) -> list[Step]:
        """Find the steps that are carried out as one task with this one."""
        if not first.kind.together:
            return []
        return [
            step
            for step in self.companions[_what_is_shared(first)]
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
            self._make_ready([key])
            return []
        settled = graph.settle(key)
        self.progress.advance(1)
        if outcome.status == "failed":
            step = graph.missing[key]
            graph.failed[key] = outcome.message
            self.progress.warn(f"failed: {step!r}: {outcome.message}")
            for blocked in graph.block(key):
                self.progress.advance(1)
                settled += graph.settle(blocked)
            return settled
        graph.waiting.done(key)
        self._make_ready(graph.waiting.get_ready())
        return settled
