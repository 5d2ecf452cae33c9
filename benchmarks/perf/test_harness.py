"""What a run costs beside its work: keys, leases, the store, records. MLflow is off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import yaml

import prunebench as pb
from prunebench.execution import tasks as work

QUICK = yaml.safe_load((Path(__file__).parent.parent / "quick.yaml").read_text())
SHORT = {"epochs": 1, "lr": 0.01}
# Imports and first calls are not the point: this run comes before and does everything once.
FIRST = QUICK | {
    "models": [{"digits-cnn": {"training": SHORT}}],
    "recovery": SHORT,
    "levels": [0.4],
    "explain": {"images": 20},
}


class Clock:
    """Adds up the time that passes inside stages, which is the work itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        compute = work._compute

        def timed(steps: Sequence[Any], place: Any) -> Any:
            start = perf_counter()
            try:
                return compute(steps, place)
            finally:
                self.seconds += perf_counter() - start

        monkeypatch.setattr(work, "_compute", timed)


def run(suite: dict[str, Any], folder: Path) -> pb.Results:
    folder.mkdir(exist_ok=True)
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return pb.run(
        folder / "suite.yaml", folder / "store", tracking_uri="", device="cpu", quiet=True
    )


def test_the_harness(
    benchmark: Any, note: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With locks of its own it waits for no other run on this machine.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run(FIRST, tmp_path / "first")
    suite = QUICK | {"levels": [0.4, 0.8]}
    clock = Clock(monkeypatch)
    results = benchmark.pedantic(run, args=(suite, tmp_path / "suite"), rounds=1)
    total = benchmark.stats.stats.total
    harness, networks = total - clock.seconds, len(results.records)
    note("harness / whole suite", 100 * harness / total, "%", "under 2 %")
    note("harness a network", 1000 * harness / networks, "ms", "under 50 ms")
    start = perf_counter()
    run(suite, tmp_path / "suite")
    again = perf_counter() - start
    note("finished suite run again, a network", 1000 * again / networks, "ms")
    note("finished suite run again / first run", 100 * again / total, "%")
