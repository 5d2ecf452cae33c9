"""A run that is killed at any instant ends, when run again, as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]
SMALL = {
    "model": "{toy-cnn: {training: {epochs: 1}}}",
    "pruners": "[l1-unstructured]",
    "levels": "[0.3]",
    "cams": None,
    "metrics": "[accuracy, params]",
}
STORES = ({"start-up": 3, "set-up": 3}, {"writing": 5})
"""How often the runs on each of the stores are killed, and in which phase."""


class Runs:
    """Runs a suite in forks of one process, each of which may die."""

    def __init__(self, suite: Path, toys: Path) -> None:
        self.suite = suite
        environment = {"PYTHONPATH": f"{toys}:{os.environ.get('PYTHONPATH', '')}"}
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("dying_runs.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment, "OMP_NUM_THREADS": "1"},
        )

    def run(self, store: Path, die: tuple[str, int, float] | None = None) -> dict[str, Any]:
        """Run until it ends or dies; see ``dying_runs.py``."""
        arguments = ["run", str(self.suite), "--store", str(store), "--device", "cpu"]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"arguments": arguments, "store": str(store), "die": die}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def finish(self, store: Path) -> dict[str, int]:
        """Run to the end, MLflow included; return how many events each phase had."""
        done = self.run(store)
        assert done["status"] == 0, done["output"]
        assert (store / "mlflow.db").exists()
        counts: dict[str, int] = done["counts"]
        return counts

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def runs(toy_suite: Write, toys: Path) -> Iterator[Runs]:
    started = Runs(toy_suite(**SMALL), toys)
    yield started
    started.close()


def _read_records(store: Path) -> dict[str, Any]:
    """Records without the time that they took."""
    paths = (store / "records").rglob("*.json")
    return {path.name: {**json.loads(path.read_text()), "measured": None} for path in paths}


@pytest.mark.slow
def test_killed_at_any_instant_it_ends_with_the_same_records(runs: Runs, tmp_path: Path) -> None:
    counts = runs.finish(tmp_path / "calm")
    calm = _read_records(tmp_path / "calm")
    assert len(calm) == 3
    draw = random.Random(11)
    for number, phases in enumerate(STORES):
        store = tmp_path / f"killed-{number}"
        for phase in (phase for phase, kills in phases.items() for _ in range(kills)):
            # What was written before is not written again: fewer events are left each time.
            span = counts[phase] // (phases[phase] if phase == "writing" else 1)
            # Right before an event, or within what follows it.
            delay = draw.choice([0.0, draw.uniform(0.001, 0.05)])
            die = (phase, draw.randrange(span), delay)
            assert runs.run(store, die)["status"] in (-signal.SIGKILL, -signal.SIGALRM), die
        runs.finish(store)
        assert _read_records(store) == calm
