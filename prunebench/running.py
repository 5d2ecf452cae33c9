"""Running a suite: plan, carry out what is missing, write down what was found."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from prunebench.environment import Environment, current
from prunebench.errors import RequestError, did_you_mean
from prunebench.executors import open_executor
from prunebench.executors.executor import Executor
from prunebench.plan import FIELDS, Branch, Planner, Trial
from prunebench.preflight import check
from prunebench.progress import RunProgress
from prunebench.record import Record
from prunebench.results import Recorder, Results, stored_records
from prunebench.steps import KINDS, Step
from prunebench.store import Store
from prunebench.suite import Suite, load_suite
from prunebench.where import parse_where
from prunebench.work import Outcome, Task

BUSY_PAUSE = 0.5  # seconds before asking again whether another process is done


def run(
    suite: Suite | str | Path,
    store: str | Path = ".prunebench",
    tracking_uri: str | None = None,
    executor: str = "local",
    device: str = "auto",
    where: str | None = None,
    force: Sequence[str] = (),
    max_time: float | None = None,
    quiet: bool = False,
) -> Results:
    """Runs a suite: whatever of it is not in the store yet.

    Args:
        suite: A suite, or its file.
        store: Folder of results.
        tracking_uri: MLflow tracking server; ``sqlite`` in the store by default, ``""`` for none.
        executor: Where tasks are carried out.
        device: ``auto``, ``cpu`` or ``cuda``.
        where: Chooses cells, such as ``'pruner == "l1-unstructured" and level > 0.3'``.
        force: Steps to do again with all that depends on them: a kind, a plugin's name, or the
            beginning of a key.
        max_time: Seconds after which no further step is started.
        quiet: Show no progress.

    Returns:
        Records, and what went wrong.

    Raises:
        RequestError: The request is wrong; nothing was computed.
        StoreError: The store cannot be written.
    """
    suite = load_suite(suite) if isinstance(suite, str | Path) else suite
    place = Store(store)
    workers = open_executor(executor)
    environment = current(device)
    for dataset in suite.datasets:
        dataset.plugin.fetch()
    planner = Planner(suite, environment, place.digests)
    trials = list(planner.trials(parse_where(where, FIELDS) if where else None))
    if not trials:
        raise RequestError("no cell of the suite fits", where=f"--where {where!r}")
    forgotten = _forced(trials, force)
    graph = _Graph.of(trials, place.stored_keys() - forgotten)
    check(graph.new_branches(trials), place, environment)
    projection = _Projection(Recorder(suite, planner, place), place, graph, tracking_uri)
    for key in forgotten:
        place.remove(key)
    deadline = None if max_time is None else time.monotonic() + max_time
    with RunProgress(len(graph.missing), quiet) as progress:
        try:
            _Scheduler(graph, workers, place, environment, progress, deadline).run(projection.add)
        finally:
            workers.close()
    results = Results(
        suite.name,
        failed=graph.failed,
        blocked=len(graph.blocked),
        undone=len(set().union(*graph.open_steps.values())),
    )
    projection.fill(results, trials)
    if where is None and not results.undone:
        _drop_stale(place, suite.name, results.records)
    return results


@dataclass
class _Graph:
    """The steps that are missing, and what waits for what."""

    missing: dict[str, Step] = field(default_factory=dict)
    waits_for: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    trials_of: dict[str, list[Trial]] = field(default_factory=dict)
    open_steps: dict[int, set[str]] = field(default_factory=dict)
    complete: list[Trial] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, trials: Iterable[Trial], stored: set[str]) -> _Graph:
        """The graph of all steps that trials demand and the store lacks."""
        graph = cls()
        for trial in trials:
            demanded = [trial.branch.baseline, trial.network, *_compression(trial.network)]
            demanded += [cell.step for cell in trial.cells]
            needed: set[str] = set()
            for step in demanded:
                graph._demand(step, stored, needed)
            graph.open_steps[id(trial)] = needed
            for key in needed:
                graph.trials_of.setdefault(key, []).append(trial)
            if not needed:
                graph.complete.append(trial)
        return graph

    def _demand(self, step: Step, stored: set[str], needed: set[str]) -> None:
        if step.kind == "dataset" or step.key in stored or step.key in needed:
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

    def new_branches(self, trials: Iterable[Trial]) -> list[Branch]:
        """Branches whose baseline, or its maps, are still to be made."""
        found = {
            id(trial.branch): trial.branch
            for trial in trials
            if trial.role == "baseline"
            and any(
                self.missing[key].kind in ("baseline", "explained")
                for key in self.open_steps[id(trial)]
            )
        }
        return list(found.values())

    def settle(self, key: str) -> list[Trial]:
        """Marks a step as settled, however it ended; returns trials that have no open step left."""
        done = []
        for trial in self.trials_of.get(key, ()):
            left = self.open_steps[id(trial)]
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


def _compression(network: Step) -> list[Step]:
    """The compression behind a recovered network: its record tells what was removed."""
    if network.kind == "recovered":
        return [network.parent("network")]
    return []


class _Scheduler:
    """Hands tasks to an executor in the plan's order as their parents are done."""

    def __init__(
        self,
        graph: _Graph,
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
        self.explained_of: dict[str, list[Step]] = {}
        for step in graph.missing.values():
            if step.kind == "explained":
                self.explained_of.setdefault(step.parent("network").key, []).append(step)
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
        """All explanations of one network share their passes."""
        if first.kind != "explained":
            return []
        return [
            step
            for step in self.explained_of[first.parent("network").key]
            if step.key != first.key
            and step.key in self.ready
            and step.parents == first.parents
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


class _Projection:
    """Writes a record to the store and to MLflow as soon as a network is through."""

    def __init__(
        self, recorder: Recorder, store: Store, graph: _Graph, tracking_uri: str | None
    ) -> None:
        from prunebench.tracking import Tracker, default_uri

        self.recorder = recorder
        self.store = store
        self.graph = graph
        uri = default_uri(store.root) if tracking_uri is None else tracking_uri
        self.tracker = Tracker(uri, recorder.suite.name) if uri else None
        self.records: dict[int, Record] = {}

    def add(self, trial: Trial) -> None:
        """Writes the record of a trial that has no open step left."""
        networks = [trial.branch.baseline, trial.network, *_compression(trial.network)]
        if not all(self.store.has(step.key) for step in networks):
            return
        record = self.recorder.record(trial, self.graph.failed)
        self.store.write_record(record.suite, record.id, record.to_json())
        self.records[id(trial)] = record
        if self.tracker is not None:
            self.tracker.log(record)

    def fill(self, results: Results, trials: Sequence[Trial]) -> None:
        """Puts what was written into the results, in the suite's order."""
        results.records = [self.records[id(t)] for t in trials if id(t) in self.records]
        if self.tracker is not None:
            results.tracking_error = self.tracker.error


def _forced(trials: Iterable[Trial], force: Sequence[str]) -> set[str]:
    """Keys of the steps named, and of all that depends on them."""
    seen: set[str] = set()
    gone: set[str] = set()
    matched: set[str] = set()
    names: set[str] = set(KINDS)
    for trial in trials:
        for cell in trial.cells:
            for step in cell.step.ancestors(seen):
                name = getattr(step.plugin, "name", "")
                names.add(name)
                hits = [f for f in force if f in (step.kind, name) or _is_prefix(f, step.key)]
                matched.update(hits)
                if hits or any(parent.key in gone for _, parent in step.parents):
                    gone.add(step.key)
    for wanted in force:
        if wanted not in matched:
            raise RequestError(
                f"no step of the suite is {wanted!r}; {did_you_mean(wanted, names - {''})}",
                where="--force",
            )
    return gone


def _is_prefix(text: str, key: str) -> bool:
    return len(text) >= 6 and key.startswith(text)


def _drop_stale(store: Store, suite: str, records: Sequence[Record]) -> None:
    """Removes records of networks that the suite no longer has."""
    current_names = {f"{record.id}.json" for record in records}
    for path in stored_records(store, (suite,)):
        if path.name not in current_names:
            path.unlink()
