"""Running a suite: plan it, carry out what is missing, write the records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prunebench.errors import RequestError, did_you_mean
from prunebench.execution.executors import open_executor
from prunebench.execution.graph import Graph
from prunebench.execution.preflight import check
from prunebench.execution.progress import RunProgress
from prunebench.execution.scheduler import Scheduler
from prunebench.plan.cell_filter import no_cell_fits, parse_where
from prunebench.plan.environment import current
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plan.step_kinds import KINDS
from prunebench.plan.trial import FIELDS, Trial
from prunebench.record import Record
from prunebench.record.files import list_records
from prunebench.recording import Recorder
from prunebench.recording.failure import find_failure
from prunebench.results import Results
from prunebench.store import Store
from prunebench.suite import Suite, load_suite


def run(
    suite: Suite | str | Path | Mapping[str, Any],
    store: str | Path = ".prunebench",
    tracking_uri: str | None = None,
    executor: str = "local",
    device: str = "auto",
    where: str | None = None,
    force: Sequence[str] = (),
    max_time: float | None = None,
    quiet: bool = False,
    trust_store: bool = False,
    jobs: int | str | None = None,
    log_models: bool = False,
) -> Results:
    """Run a suite: whatever of it is not in the store yet.

    Args:
        suite: A suite, its file, or what such a file would hold, with objects of this program
            among it: see ``Suite.of``.
        store: Folder of results.
        tracking_uri: MLflow tracking server; ``sqlite`` in the store by default, ``""`` for none.
        executor: Where tasks are carried out.
        device: ``auto``, ``cpu`` or ``cuda``.
        where: Chooses cells, such as ``'pruner == "l1-unstructured" and level > 0.3'``.
        force: Steps to do again with all that depends on them: a kind, a plugin's name, or the
            beginning of a key.
        max_time: Seconds after which no further step is started.
        quiet: Show no progress.
        trust_store: Run Python code too that only the store names: of a store of your own.
        jobs: How many tasks at once, each in a process of one thread, or ``auto``: one for each
            core. Timing runs alone all the same. By default one at a time, with all cores. A script
            needs ``if __name__ == "__main__":`` around its call, as for all of Python's processes.
        log_models: Log each network to MLflow, too: as safetensors and, with the extra
            ``prunebench[onnx]``, as ONNX.

    Returns:
        Records, and what went wrong.

    Raises:
        RequestError: The request is wrong; nothing was computed.
        StoreError: The store cannot be written.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.yaml").write_text('''
        ... dataset: digits
        ... model: {digits-cnn: {training: {epochs: 1, images: 100}}}
        ... pruner: l1-unstructured
        ... levels: [0.5]
        ... metrics: [accuracy, params]
        ... ''')
        >>> import prunebench as pb
        >>> results = pb.run("small.yaml", "results", tracking_uri="", device="cpu", quiet=True)
        >>> sorted(record.pruner for record in results.records)
        ['baseline', 'l1-unstructured', 'none']
    """
    if isinstance(suite, Mapping):
        suite = Suite.of(suite)
    suite = load_suite(suite) if isinstance(suite, str | Path) else suite
    if log_models and tracking_uri == "":
        raise RequestError("log_models logs to MLflow, which tracking_uri='' leaves out")
    if jobs is not None and (objects := suite.list_objects()):
        raise RequestError(
            f"{objects[0]!r} is an object of this program, which other processes do not have; run "
            "without jobs",
            where="--jobs",
        )
    place = Store(store, trusted=trust_store)
    workers = open_executor(executor, jobs)
    environment = current(device)
    for dataset in suite.datasets:
        dataset.plugin.fetch()
    identities = Identities(suite, environment, place.digests)
    trials = list(plan_trials(identities, parse_where(where, FIELDS) if where else None))
    if not trials:
        raise no_cell_fits(where or "None", suite)
    forgotten = _find_forced(trials, force)
    graph = Graph.of(trials, place.stored_keys() - forgotten)
    check(suite, graph.settings_to_check(trials), place, environment)
    projection = _Projection(Recorder(identities, place), place, graph, tracking_uri, log_models)
    for key in forgotten:
        place.remove(key)
    deadline = None if max_time is None else time.monotonic() + max_time
    with RunProgress(len(graph.missing), quiet) as progress:
        try:
            Scheduler(graph, workers, place, environment, progress, deadline).run(projection.add)
        finally:
            workers.close()
    results = Results(
        suite.name,
        failed=graph.failed,
        blocked=len(graph.blocked),
        undone=len(set().union(*graph.open_steps.values())),
        store=place.root,
    )
    projection.fill(results, trials)
    if where is None and not results.undone:
        _drop_stale(place, suite.name, results.records)
    projection.sum_up(results)
    return results


class _Projection:
    """Writes a record to the store and to MLflow as soon as a network is through."""

    def __init__(
        self,
        recorder: Recorder,
        store: Store,
        graph: Graph,
        tracking_uri: str | None,
        log_models: bool,
    ) -> None:
        from prunebench.tracking import Tracker, default_uri

        self.recorder = recorder
        self.store = store
        self.graph = graph
        uri = default_uri(store.root) if tracking_uri is None else tracking_uri
        networks = store if log_models else None
        lock = store.root / "mlflow.lock"
        self.tracker = Tracker(uri, recorder.suite.name, lock, networks) if uri else None
        self.records: dict[Trial, Record] = {}

    def add(self, trial: Trial) -> None:
        """Write the record of a trial that has no open step left: of a failed one, why it failed.

        There is none where there is no baseline to stand beside, or a step was not tried.
        """
        steps = trial.network.lineage()
        failure = find_failure(trial, self.store, self.graph.failed)
        made = all(self.store.has(step.key) for step in steps)
        if not self.store.has(trial.setting.baseline.key) or not (made or failure):
            return
        record = self.recorder.record(trial, self.graph.failed)
        self.store.write_record(record.suite, record.id, record.to_json())
        self.records[trial] = record
        if self.tracker is not None:
            self.tracker.log(record, self.records.get(trial.compared_with))

    def fill(self, results: Results, trials: Sequence[Trial]) -> None:
        """Put what was written into the results, in the suite's order."""
        results.records = [self.records[trial] for trial in trials if trial in self.records]

    def sum_up(self, results: Results) -> None:
        """Log the board of all the suite's records, those of earlier runs too."""
        if self.tracker is not None:
            self.tracker.log_board(list_records(self.store, (self.recorder.suite.name,)))
            results.tracking_error = self.tracker.error


def _find_forced(trials: Iterable[Trial], force: Sequence[str]) -> set[str]:
    """Return the keys of the steps named, and of all that depends on them."""
    seen: set[str] = set()
    gone: set[str] = set()
    matched: set[str] = set()
    names: set[str] = set(KINDS)
    for trial in trials:
        for cell in trial.cells:
            for step in cell.step.ancestors(seen):
                names.add(step.name)
                hits = [
                    f for f in force if f in (step.kind.name, step.name) or _is_prefix(f, step.key)
                ]
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
    """Remove records of networks that the suite no longer has."""
    current_names = {f"{record.id}.json" for record in records}
    for path in list_records(store, (suite,)):
        if path.name not in current_names:
            path.unlink()
