"""Runs of suites that die at a chosen instant: ``python dying_runs.py``.

Importing everything costs seconds, so one process imports it once and each run is a fork of it. It
reads requests from the standard input, a line of JSON each: the arguments of ``prunebench``, the
store, and perhaps where to die. It answers with the status, the output, and how many events each
phase had.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from typing import Any
from unittest.mock import patch

MODULES = (
    "mlflow.store.tracking.sqlalchemy_store",
    "prunebench.cli.main",
    "prunebench.execution.stages.baseline",
    "prunebench.execution.stages.compress",
    "prunebench.execution.stages.predict",
    "prunebench.execution.stages.score",
    "prunebench.leaderboard.outputs",
    "prunebench.leaderboard.site",
    "prunebench.leaderboard.writers.pictures",
    "prunebench.leaderboard.writers.terminal",
    "prunebench.running",
    "prunebench.tracking.overlays",
    "prunebench.tracking.tracker",
    "sqlalchemy.dialects.sqlite",
)
EVENTS = {"exec", "open", "os.link", "os.mkdir", "os.remove", "os.rename", "sqlite3.connect"}
"""Python's audit events at which a process may die; migrations of a database are ``exec``."""


class Death:
    """Counts a run's events by phase, and kills it at one of them.

    Args:
        store: The store's folder.
        phase: ``start-up`` until the first result is written; ``set-up`` while MLflow's database is
            made; ``writing`` are all files written into the store after the start. None to live.
        number: Of the event in its phase, from 0.
        delay: Seconds from the event to the end.
    """

    def __init__(self, store: str, phase: str | None, number: int, delay: float) -> None:
        self.store, self.phase, self.number, self.delay = store, phase, number, delay
        self.counts: Counter[str] = Counter()
        self.started = self.setting_up = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        path = str(arguments[0])
        self.started |= path.startswith(f"{self.store}/artefacts/")
        if "/.mlflow.db-" in path:  # beside its place, into which it is linked when whole
            self.setting_up = event not in ("os.link", "os.remove")
        if self.setting_up:
            now = "set-up"
        elif not self.started:
            now = "start-up"
        elif path.startswith(self.store):
            now = "writing"
        else:
            return
        if now == self.phase and self.counts[now] == self.number:
            if not self.delay:
                os.kill(os.getpid(), signal.SIGKILL)
            signal.setitimer(signal.ITIMER_REAL, self.delay)  # an alarm ends it as suddenly
        self.counts[now] += 1


def run(arguments: list[str], store: str, die: list[Any] | None) -> dict[str, Any]:
    """Carry out ``prunebench`` in a fork."""
    told, telling = os.pipe()
    with tempfile.TemporaryFile() as output:
        if (child := os.fork()) == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(_run_here(arguments, Death(store, *(die or (None, 0, 0.0))), telling))
        os.close(telling)
        with open(told, "rb") as pipe:
            counts = json.loads(pipe.read() or b"{}")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return {"status": status, "output": output.read().decode(), "counts": counts}


def _run_here(arguments: list[str], death: Death, telling: int) -> int:
    from prunebench.cli import main

    sys.argv = ["prunebench", *arguments]
    sys.addaudithook(death)
    try:
        # The board's picture takes longer than all else.
        with patch("prunebench.leaderboard.writers.pictures.write_pictures", lambda *_: []):
            main()
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(telling, json.dumps(death.counts).encode())
    return status


def main() -> None:
    """Answer requests until the input ends."""
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    for module in MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
