"""The projection against a tracking server on PostgreSQL, as a team would have one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import prunebench as pb
from prunebench.record import Record, read_record
from prunebench.tracking import Tracker
from prunebench.tracking.names import metrics

pytestmark = pytest.mark.slow

SUITE = """
name: {name}
dataset: digits
models: [{{digits-cnn: {{training: {{epochs: 1, images: 300}}}}}}]
pruners: [l1-unstructured]
levels: [0.5, 0.8]
recovery: {{epochs: 1, images: 200}}
cams: [grad-cam]
metrics: [accuracy, params, sp2ps]
explain: {{images: 20}}
"""
PATIENCE = 120  # seconds until a server answers


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


class Server:
    """An MLflow server that can be killed and started again at the same address."""

    def __init__(self, database: str, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        self._command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--backend-store-uri", database]
        self._command += ["--artifacts-destination", str(folder / "artefacts")]
        self._said = folder / "mlflow.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._said.open("ab") as said:
            self._process = subprocess.Popen(
                self._command, stdout=said, stderr=said, start_new_session=True
            )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.3)
        pytest.fail(f"the server did not start: {self._said.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kills the server with all its workers, as a power failure would."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty PostgreSQL database of this test."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb") or next((f for x in folders if (f := x / "initdb").exists()), "")
    if not found:
        pytest.skip("PostgreSQL is not installed")
    programs = Path(found).resolve().parent
    # The database refuses to be root's; folders of tests are open to their owner only.
    folder = Path(tmp_path_factory.mktemp("postgresql"))
    user: dict[str, Any] = {"cwd": "/"}
    if os.geteuid() == 0:
        folder = Path("/tmp") / f"prunebench-postgresql-{os.getpid()}"
        folder.mkdir(mode=0o700)
        shutil.chown(folder, "nobody")
        user |= {"user": "nobody", "extra_groups": []}
    data, port = folder / "data", free_port()
    try:
        create = [programs / "initdb", "-D", data, "-U", "prunebench", "-A", "trust", "-N"]
        subprocess.run(create, check=True, capture_output=True, **user)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **user,
        )
        try:
            _wait_for(f"postgresql://prunebench@127.0.0.1:{port}/postgres")
            # Which driver stands behind a plain `postgresql://` depends on SQLAlchemy's version.
            yield f"postgresql+psycopg2://prunebench@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(address: str) -> None:
    import psycopg2

    end = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg2.connect(address).close()
            return
        except psycopg2.OperationalError as error:
            if time.monotonic() > end:
                pytest.fail(f"PostgreSQL did not start: {error}")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def server(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(postgresql, tmp_path_factory.mktemp("server"))
    try:
        found.start()
        yield found
    finally:
        found.kill()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests: the networks of their suites are the same."""
    return tmp_path_factory.mktemp("store") / "store"


def suite(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(SUITE.format(name=name))
    return path


def run(path: Path, store: Path, uri: str) -> pb.Results:
    return pb.run(path, store, tracking_uri=uri, device="cpu", quiet=True)


def logged(uri: str, experiment: str) -> list[Run]:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id]))


def everything(uri: str, experiment: str) -> dict[str, Any]:
    """All of an experiment: two equal ones mean that nothing was added."""
    client = MlflowClient(uri)
    found = {}
    for each in logged(uri, experiment):
        run_id = each.info.run_id
        histories = {
            name: [(m.timestamp, m.step, m.value) for m in client.get_metric_history(run_id, name)]
            for name in each.data.metrics
        }
        artefacts = sorted(file.path for file in client.list_artifacts(run_id, "overlays"))
        found[run_id] = (each.info.to_proto(), each.data.params, each.data.tags, histories)
        found[run_id] += (artefacts,)
    return found


def check(uri: str, experiment: str, records: list[Record], folder: Path) -> None:
    """Each record is there once and whole, and so is the board."""
    client = MlflowClient(uri)
    found = logged(uri, experiment)
    assert {each.data.tags["complete"] for each in found} == {"true"}
    networks = [each for each in found if "prunebench.record" in each.data.tags]
    by_record = {each.data.tags["prunebench.record"]: each for each in networks}
    assert len(found) == len(by_record) + 1 == len(records) + 1
    for record in records:
        ours = by_record[record.id]
        assert ours.data.metrics.items() >= metrics(record).items()
        assert all(
            len(client.get_metric_history(ours.info.run_id, name)) == 1 for name in metrics(record)
        )
        assert json.loads(ours.data.tags["prunebench.keys"]) == record.keys
        target = folder / ours.info.run_id
        target.mkdir(parents=True, exist_ok=True)
        path = client.download_artifacts(ours.info.run_id, "record.json", str(target))
        assert read_record(Path(path)) == record
        overlays = client.list_artifacts(ours.info.run_id, "overlays")
        assert len(overlays) == sum(heat.cam is not None for heat in record.heatmaps)
    (board,) = (each for each in found if "prunebench.board" in each.data.tags)
    names = {file.path for file in client.list_artifacts(board.info.run_id)}
    assert names == {"README.md", "board.json", "pictures"}


def test_a_suite_on_a_server_that_dies_in_the_middle(
    server: Server, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite(tmp_path, "dies")
    log, seen = Tracker._log, []

    def killed(tracker: Tracker, record: Record, baseline: Record | None) -> None:
        seen.append(record.id)
        if len(seen) == 3:
            server.kill()
        log(tracker, record, baseline)

    monkeypatch.setattr(Tracker, "_log", killed)
    lost = run(path, store, server.uri)
    monkeypatch.undo()
    assert server.uri in str(lost.tracking_error)
    assert (lost.exit_status, lost.failed, len(lost.records)) == (1, {}, 5)
    server.start()
    assert len(logged(server.uri, "dies")) == 2
    again = run(path, store, server.uri)
    assert again.exit_status == 0, again.tracking_error
    check(server.uri, "dies", again.records, tmp_path)
    before = everything(server.uri, "dies")
    assert run(path, store, server.uri).exit_status == 0
    assert everything(server.uri, "dies") == before


@pytest.mark.parametrize("stores", [1, 2])
def test_two_processes_at_once(server: Server, store: Path, tmp_path: Path, stores: int) -> None:
    name = f"at-once-{stores}"
    path = suite(tmp_path, name)
    records = run(path, store, "").records
    places = [store]
    if stores == 2:  # two machines, each with its own
        places.append(Path(shutil.copytree(store, tmp_path / "other")))
    command = [sys.executable, "-m", "prunebench", "run", str(path), "--device", "cpu"]
    command += ["--tracking-uri", server.uri]
    both = [
        subprocess.Popen(
            [*command, "--store", str(place)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for place in (places[0], places[-1])
    ]
    for process in both:
        said, _ = process.communicate()
        assert process.returncode == 0, said.decode()
    check(server.uri, name, records, tmp_path)
