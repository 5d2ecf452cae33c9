"""Fixtures for all tests: where the real images and weights are, where there are any."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from prunebench.plugins import finding as plugins
from prunebench.store import Store

if TYPE_CHECKING:
    from torch import Tensor

REPOSITORY = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _take_own_cores() -> None:
    """Gives each of several test processes cores of its own: threads that share one wait for it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, workers = sorted(os.sched_getaffinity(0)), os.environ["PYTEST_XDIST_WORKER_COUNT"]
        own = cores[int(worker.removeprefix("gw")) :: int(workers)]
        os.sched_setaffinity(0, own or cores)


# At once, not when pytest is configured: a conftest.py further down may have imported PyTorch by
# then, which counts its threads by the cores it sees first.
_take_own_cores()


def _finder(variable: str, beside: str) -> Callable[[str], Path]:
    root = Path(os.environ.get(variable, REPOSITORY.parent / "shared" / beside))

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"{name} is not in {root}; set {variable} to where it is")
        return root / name

    return find


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Finds a folder of real images, ``shared_data("cifar10-jpeg")``, or skips the test."""
    return _finder("PRUNEBENCH_DATA", "data")


@pytest.fixture(scope="session")
def shared_weights() -> Callable[[str], Path]:
    """Finds a file of trained weights, or skips the test."""
    return _finder("PRUNEBENCH_WEIGHTS", "weights")


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests do not wait for whatever else is timed on this machine."""
    os.environ["PRUNEBENCH_LOCKS"] = str(tmp_path_factory.mktemp("locks"))


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Installs the toy plugins as a package of their own; returns the folder for PYTHONPATH."""
    site = tmp_path / "site"
    info = site / "prunebench_toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prunebench-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(TOYS)
    for source in ("toys/prunebench_toys.py", "pruners/toy_iterative.py"):
        shutil.copy(REPOSITORY / "tests" / source, site)
    monkeypatch.syspath_prepend(str(site))
    plugins.entries.cache_clear()
    yield site
    plugins.entries.cache_clear()


TOYS = """
[prunebench.datasets]
toy-images = prunebench_toys:ToyImages
[prunebench.models]
toy-cnn = prunebench_toys:ToyCnn
[prunebench.pruners]
toy-lottery = toy_iterative:ToyLottery
[prunebench.cams]
toy-cam = prunebench_toys:toy_cam
toy-noise = prunebench_toys:toy_noise
toy-bad-cam = prunebench_toys:toy_bad_cam
[prunebench.metrics]
toy-crash = prunebench_toys:ToyCrash
toy-count = prunebench_toys:ToyCount
toy-deadly = prunebench_toys:ToyDeadly
"""

TOY_SUITE = """
name: toy
dataset: {toy-images: {path: seed.txt}}
model: toy-cnn
pruners: [l1-unstructured, random-unstructured]
levels: [0.3, 0.6]
recovery: {epochs: 1, lr: 1e-3, batch_size: 30}
cams: [grad-cam, toy-cam]
metrics: [accuracy, params, sp2ps]
explain: {images: 20}
"""


@pytest.fixture
def toy_suite(toys: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a small suite of toys; ``toy_suite(metrics="[params]")`` replaces a line."""

    def write(file: str = "toy.yaml", **lines: str | None) -> Path:
        (tmp_path / "seed.txt").write_text("7")
        text = TOY_SUITE
        for key, value in lines.items():
            text = "\n".join(line for line in text.split("\n") if not line.startswith(f"{key}:"))
            text += "" if value is None else f"{key}: {value}\n"
        (tmp_path / file).write_text(text)
        return tmp_path / file

    return write


class KilledError(Exception):
    """Instead of a signal."""


class Dying:
    """Scratch space whose process dies right after the second save."""

    Killed: ClassVar[type[Exception]] = KilledError

    def __init__(self, path: Path) -> None:
        self.scratch = Store(path).scratch("ab" * 16)
        self.saves = 0

    def save(self, state: Mapping[str, Tensor]) -> None:
        self.scratch.save(state)
        self.saves += 1
        if self.saves == 2:
            raise KilledError

    def load(self) -> dict[str, Tensor] | None:
        return self.scratch.load()


@pytest.fixture
def dying(tmp_path: Path) -> Dying:
    """Scratch space that a training does not survive; ``dying.scratch`` is what is left of it."""
    return Dying(tmp_path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium of this machine, driven by Playwright; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()
