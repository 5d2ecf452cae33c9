"""MLflow as a projection of the store: it can be filled again at any time, on any server."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.errors import RequestError
from prunebench.record import Record, slug
from prunebench.record.comparable import SMALLER
from prunebench.record.reading import read_readable
from prunebench.tracking.address import check_address, without_password
from prunebench.tracking.experiment import BOARD, COMPLETE, NETWORK, MlflowExperiment
from prunebench.tracking.names import (
    CURVE,
    VERSION,
    description,
    metrics,
    numbers,
    params,
    run_name,
)
from prunebench.tracking.view import VIEW_TAG, note, view

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

    from prunebench.store import Store

logger = logging.getLogger(__name__)

LOGGED = ("baseline", "control", *SMALLER)
"""Roles of networks that are logged themselves, where that is asked for."""
NOTE = "mlflow.note.content"  # what MLflow shows as a description
VERSION_TAG = "prunebench.version"
MODEL_TAG = "prunebench.model"  # set where the network itself is an artefact


class Tracker:
    """Logs records: one experiment a suite, one run a network, and a run for the suite's board.

    Logging is idempotent: a run is found by its record's name, what is there stays, what is missing
    is added, and the tags ``complete`` and ``prunebench.digest`` are set last. The digest is of
    the record and of the version of what is shown of it. Where it is the same, nothing is done.

    Args:
        uri: The tracking server.
        suite: The suite's name.
        lock: A file; processes that name the same one log in turns. Without turns two of them
            would set a new database up at once.
        networks: The store from which each network is logged as an artefact; none by default.

    Raises:
        RequestError: The address is none.
    """

    def __init__(
        self, uri: str, suite: str, lock: Path | None = None, networks: Store | None = None
    ) -> None:
        check_address(uri)
        self.uri = uri
        self.lock = lock
        self.networks = networks
        self.error: str | None = None
        self._experiment = MlflowExperiment(uri, suite)

    def log(self, record: Record, baseline: Record | None = None) -> None:
        """Log a record. A server that fails is noted and left alone: the store is the truth.

        Args:
            record: The network's record.
            baseline: Its baseline's, whose maps are shown beside its own.
        """
        self._attempt(lambda: self._log(record, baseline))

    def log_board(self, files: Sequence[Path]) -> None:
        """Log the suite's board as a run of its own, and arrange how the experiment opens.

        Args:
            files: All records of the suite. Where they are as they were, nothing is done.
        """
        if files:
            self._attempt(lambda: self._log_board(files))

    def _attempt(self, step: Callable[[], None]) -> None:
        if self.error is not None:
            return
        try:
            with self._alone():
                step()
        except Exception as error:
            first_line = str(error).strip().partition("\n")[0]
            self.error = without_password(f"{self.uri}: {type(error).__name__}: {first_line}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.lock is None:
            yield
            return
        with self.lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _log(self, record: Record, baseline: Record | None) -> None:
        digest = _digest(record.to_json().encode())
        store = self.networks if record.failure is None and record.role in LOGGED else None
        if store is None and self._experiment.complete.get(record.id) == digest:
            return
        name = run_name(record)
        run = self._experiment.run(NETWORK, record.id, name)
        known = run.data
        there = store is None or MODEL_TAG in known.tags
        if there and self._experiment.is_complete(run, digest):
            return
        if known.tags.get(VERSION_TAG) != str(VERSION):
            self._experiment.client.update_run(run.info.run_id, name=name)
        with tempfile.TemporaryDirectory() as folder:
            _draw(record, baseline, Path(folder))
            held = store is not None and _write_network(record, store, Path(folder) / "model")
            self._experiment.fill(
                run,
                digest,
                Path(folder),
                [*_values(record, run), *_curves(record, run)],
                {k: str(v) for k, v in params(record).items() if k not in known.params},
                _tags(record) | ({MODEL_TAG: "model"} if held else {}),
                status="FAILED" if record.failure else None,
            )

    def _log_board(self, files: Sequence[Path]) -> None:
        from prunebench.leaderboard.board import board
        from prunebench.leaderboard.publish import write_board
        from prunebench.leaderboard.writers.pictures import write_pictures

        digest = _digest(*(file.read_bytes() for file in files))
        run = self._experiment.run(BOARD, self._experiment.name, "board")
        if self._experiment.is_complete(run, digest):
            return
        records = read_readable(files, [])
        text = note(records)
        # A description that a person wrote stays.
        known = self._experiment.tags.get(NOTE)
        ours = known is None or known == run.data.tags.get(NOTE)
        tags = {VIEW_TAG: view(records)} | ({NOTE: text} if ours else {})
        # On the run first: by that, a text interrupted here is known as not a person's.
        self._experiment.tag(run, NOTE, text)
        self._experiment.describe(tags)
        with tempfile.TemporaryDirectory() as folder:
            sections = board(records)
            write_board(sections, Path(folder))
            write_pictures(sections, Path(folder) / "pictures")
            self._experiment.fill(run, digest, Path(folder), tags={NOTE: text})


def _digest(*contents: bytes) -> str:
    found = hashlib.blake2b(str(VERSION).encode(), digest_size=16)
    for content in contents:
        found.update(hashlib.blake2b(content, digest_size=16).digest())
    return found.hexdigest()


def _tags(record: Record) -> dict[str, str]:
    missing = {name: value.reason for name, value in record.values.items() if value.mean is None}
    return {
        NOTE: description(record),
        VERSION_TAG: str(VERSION),
        "prunebench.protocol": record.protocol,
        "prunebench.keys": json.dumps(record.keys),
        "prunebench.provenance": json.dumps(record.provenance),
        # Written even if empty: what was missing at first may have been computed since.
        "prunebench.missing": json.dumps(missing),
    }


def _values(record: Record, run: Run) -> Iterator[Metric]:
    """Yield metrics that the run does not show yet."""
    from mlflow.entities import Metric

    for name, value in (metrics(record) | numbers(record)).items():
        known = run.data.metrics.get(name)
        if known is None:  # at a time that is the same for all who log it: it is there once
            yield Metric(name, value, run.info.start_time, 0)
        elif known != value:  # of two values, MLflow shows the later one
            yield Metric(name, value, int(time.time() * 1000), 0)


def _curves(record: Record, run: Run) -> Iterator[Metric]:
    """Yield curves that the run does not show yet.

    Of a run that was never complete all, for a curve there may lack its end.
    """
    from mlflow.entities import Metric

    known = run.data.metrics if run.data.tags.get(COMPLETE) == "true" else {}
    for stage, curve in record.curves.items():
        for point in curve:
            told = {"loss": point.loss, "validation_accuracy": point.validation_accuracy}
            for what, value in (point.terms | told).items():
                name = f"{CURVE}{stage}_{what}"
                if value is not None and name not in known:
                    yield Metric(name, value, 0, point.epoch)


def _write_network(record: Record, store: Store, folder: Path) -> bool:
    """Write a network: as safetensors, and as ONNX where the packages for that are there.

    Returns:
        Whether it was written; where not, a warning says why.
    """
    from prunebench.loading.stored import load_stored
    from prunebench.networks.onnx_export import PACKAGES
    from prunebench.networks.portable import export

    folder.mkdir()
    try:
        network = load_stored(record, store)
        export(network, folder / "network.safetensors")
        if all(find_spec(package) for package in PACKAGES):
            export(network, folder / "network.onnx")
    except RequestError as error:  # code that is not trusted, or cannot be followed
        logger.warning("a network is not logged, or not as ONNX: %s", error)
    return any(folder.iterdir())


def _draw(record: Record, baseline: Record | None, folder: Path) -> None:
    """Write the artefacts of a network's run into a folder."""
    from prunebench.tracking.overlays import overlays

    (folder / "record.json").write_text(record.to_json())
    for name, png in record.pictures.items():
        (folder / f"{slug(name)}.png").write_bytes(base64.b64decode(png))
    (folder / "overlays").mkdir()
    for name, picture in overlays(record, baseline):
        (folder / "overlays" / f"{name}.png").write_bytes(picture)
