"""Making a published row again, from its record alone, and holding the two side by side."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prunebench.errors import RequestError
from prunebench.execution.executors import open_executor
from prunebench.execution.graph import Graph
from prunebench.execution.preflight import check
from prunebench.execution.progress import RunProgress
from prunebench.execution.scheduler import Scheduler
from prunebench.plan.environment import current
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plan.trial import Trial
from prunebench.record import Conditions, Record
from prunebench.record.checking import check_record
from prunebench.recording import Recorder
from prunebench.reproduction.verdict import Reproduction, compare
from prunebench.store import Store
from prunebench.suite import Suite, load_suite
from prunebench.yaml_source import read_yaml

PYTHON = ".py:"
"""In every text that names Python code: see ``networks/factory.py``."""


def reproduce(
    record: Record,
    store: str | Path | None = None,
    *,
    folder: str | Path | None = None,
    device: str | None = None,
    quiet: bool = False,
    trust_store: bool = False,
) -> Reproduction:
    """Make a row again from its record: only the steps that this row needs.

    Args:
        record: The published record.
        store: Folder of results; steps that it holds are taken from it. By default a fresh one
            that is removed afterwards, so that everything is computed.
        folder: What relative paths in the record's suite are relative to. By default none is
            found, and a suite that names Python files is refused.
        device: ``cpu`` or ``cuda``; by default the record's own.
        quiet: Show no progress.
        trust_store: Run Python code too that only the store names: of a store of your own.

    Returns:
        Published and rebuilt values side by side.

    Raises:
        RequestError: The record is damaged, or of a network that could not be made; data or weights
            are not the same, a variable of the suite is not set, or a step failed.
    """
    if problems := check_record(record):
        raise RequestError(str(problems[0]), where=f"record {record.id}")
    if record.failure:
        raise RequestError(
            f"tells of a network that could not be made ({record.failure}); expected a record with "
            "values, which can be made again",
            where=f"record {record.id}",
        )
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="prunebench-"))
        suite = _read_suite(record, Path(folder or temporary), trusted=folder is not None)
        opened = Store(store or Path(temporary) / "store", trusted=trust_store)
        environment = current(device or record.conditions.device)
        for dataset in suite.datasets:
            dataset.plugin.fetch()
        identities = Identities(suite, environment, opened.digests)
        trial = _find_trial(record, identities)
        recorder = Recorder(identities, opened)
        _check_sources(record, recorder.conditions(trial))
        failed = _carry_out(trial, identities, opened, quiet)
        return compare(record, recorder.record(trial, failed))


def _refuse_code(suite: Path) -> None:
    """Refuse a suite that names Python files: a record must not choose which are run."""
    found = next((text for text in _find_texts(read_yaml(suite).data) if PYTHON in text), None)
    if found is not None:
        raise RequestError(
            f"the row is made by Python code of its author's, {found}, which a record does not "
            "hold; `--folder` says where that lies, and that you trust it",
        )


def _find_texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for one in content:
            yield from _find_texts(one)
    elif isinstance(content, dict):
        for name, value in content.items():
            yield name
            yield from _find_texts(value)


def _read_suite(record: Record, folder: Path, trusted: bool) -> Suite:
    """Read the suite in a record as if its file lay in a folder.

    Args:
        record: The record.
        folder: What its relative paths are relative to.
        trusted: Whether Python code that it names may be run.
    """
    if not folder.is_dir():
        raise RequestError("no such folder", where=str(folder))
    handle, name = tempfile.mkstemp(prefix=".prunebench-", suffix=".yaml", dir=folder)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            # JSON is YAML, and quotes what must stay text.
            json.dump(record.suite_excerpt, file, ensure_ascii=False)
        if not trusted:
            _refuse_code(Path(name))
        return load_suite(name)
    except RequestError as error:
        raise RequestError(error.message, where=f"suite of record {record.id}") from None
    finally:
        Path(name).unlink()


def _find_trial(record: Record, identities: Identities) -> Trial:
    trials = list(plan_trials(identities))
    # By parameters, not by label: a label tells mappings in the order in which they were written.
    wanted = (record.role, record.pruner_name, record.pruner_parameters)
    where = (record.level, record.round, record.seed)
    for trial in trials:
        parameters = trial.pruner.plugin.changed_parameters() if trial.pruner else {}
        found = (trial.role, trial.name, parameters)
        if found == wanted and (trial.level, trial.round, trial.setting.seed) == where:
            return trial
    raise RequestError(
        f"its suite makes {len(trials)} networks, and none of them is {record.pruner!r} at level "
        f"{record.level}, seed {record.seed}",
        where=f"record {record.id}: suite_excerpt",
    )


def _check_sources(record: Record, here: Conditions) -> None:
    """Refuse other data or weights, before anything is computed."""
    theirs = record.conditions
    for name, what in (("dataset", "data set"), ("data_digest", "data"), ("model", "model")):
        if getattr(theirs, name) != getattr(here, name):
            raise RequestError(
                f"the {what} is not the same: the record has {getattr(theirs, name)!r}, here it is "
                f"{getattr(here, name)!r}",
                where=f"record {record.id}: conditions.{name}",
            )


def _carry_out(trial: Trial, identities: Identities, store: Store, quiet: bool) -> dict[str, str]:
    """Carry out what is missing; returns messages of failed steps, by key."""
    graph = Graph.of([trial], store.stored_keys())
    environment = identities.environment
    check(identities.suite, graph.settings_to_check([trial]), store, environment)
    workers = open_executor("local")
    with RunProgress(len(graph.missing), quiet) as progress:
        try:
            Scheduler(graph, workers, store, environment, progress, None).run(lambda done: None)
        finally:
            workers.close()
    for step in reversed(trial.network.lineage()):
        if not store.has(step.key):
            message = graph.failed.get(step.key, "a step before it failed")
            raise RequestError(f"the network could not be made: {message}", where=repr(step))
    return graph.failed
