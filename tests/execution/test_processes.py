"""Several tasks at once: the same records, timing alone, and no harm when a process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stored_records import read_records

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.execution.executors import open_executor
from prunebench.execution.tasks import Task
from prunebench.plan.environment import Environment
from prunebench.results import Results

Write = Callable[..., Path]


def run(suite: Path, store: Path, **options: Any) -> Results:
    return pb.run(suite, store, "", device="cpu", quiet=True, **options)


@pytest.mark.slow
def test_records_do_not_depend_on_the_number_of_jobs(toy_suite: Write, tmp_path: Path) -> None:
    latency = "{latency: {seconds: 0.01, repeats: 5, warmup: 1}}"
    suite = toy_suite(metrics=f"[accuracy, params, sp2ps, {latency}]")
    for jobs in (1, 2):
        results = run(suite, tmp_path / f"jobs-{jobs}", jobs=jobs)
        assert not results.failed
        assert len(results.records) == 7
    one, two = (read_records(tmp_path / f"jobs-{jobs}") for jobs in (1, 2))
    assert one == two
    # Several processes took part, and each step was done once.
    journal = (tmp_path / "jobs-2" / "journal.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in journal]
    assert len(keys) == len(set(keys))


@pytest.mark.slow
def test_a_task_whose_process_is_killed_is_done_again(toy_suite: Write, tmp_path: Path) -> None:
    (tmp_path / "deaths").write_text("once")
    suite = toy_suite(
        pruners="[l1-unstructured]",
        levels="[0.3]",
        metrics=f"[accuracy, {{toy-deadly: {{deaths: '{tmp_path / 'deaths'}'}}}}]",
        cams=None,
        explain=None,
    )
    results = run(suite, tmp_path / "store", jobs=1)
    assert not results.failed
    assert (tmp_path / "deaths").read_text() == ""


@pytest.mark.sweep
def test_a_task_that_kills_every_process_fails_alone(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunebench.execution.executors.processes.ATTEMPTS", 1)
    (tmp_path / "deaths").write_text("again\n" * 100)
    suite = toy_suite(
        pruners="[l1-unstructured]",
        levels="[0.3]",
        recovery=None,
        metrics=f"[accuracy, {{toy-deadly: {{deaths: '{tmp_path / 'deaths'}'}}}}]",
        cams=None,
        explain=None,
    )
    results = run(suite, tmp_path / "store", jobs=1)
    assert results.failed
    assert all("process was killed" in message for message in results.failed.values())
    assert all(record.mean("accuracy") is not None for record in results.records)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_processes_end_with_the_run_that_started_them(
    how: signal.Signals, status: int, toy_suite: Write, toys: Path, tmp_path: Path
) -> None:
    suite = toy_suite(model="{toy-cnn: {training: {epochs: 5000, lr: 1e-4}}}")
    command = [sys.executable, "-m", "prunebench", "run", str(suite), "--jobs", "2"]
    command += ["--store", str(tmp_path / "store"), "--tracking-uri", "", "--device", "cpu"]
    started = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(toys)},
        # Where the tests run in the background, they and their children would ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    scratch = tmp_path / "store" / "scratch"
    while not list(scratch.rglob("*.safetensors")):
        assert started.poll() is None
        time.sleep(0.1)
    children = find_children(started.pid)
    assert len(children) >= 2  # the worker, and multiprocessing's own tracker
    started.send_signal(how)
    assert started.wait(60) == status
    for _ in range(100):
        if not any(is_alive(child) for child in children):
            break
        time.sleep(0.1)
    assert not [child for child in children if is_alive(child)]


def find_children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5", 0, 10**9])
def test_a_wrong_number_of_jobs_is_refused(jobs: int | str) -> None:
    with pytest.raises(RequestError, match="expected 1 to 1024, or auto"):
        open_executor("local", jobs)


def test_auto_is_one_job_a_core() -> None:
    workers = open_executor("local", "auto")
    assert workers.slots == len(os.sched_getaffinity(0))
    workers.close()


def test_what_cannot_be_handed_over_is_refused(tmp_path: Path) -> None:
    step: Any = SimpleNamespace(runs_alone=False, defined_here=lambda: None)
    workers = open_executor("local", 1)
    with pytest.raises(RequestError, match="define the suite's classes and functions in a module"):
        workers.submit(Task((step,), tmp_path, Environment()), lambda fraction, text: None)
    workers.close()
