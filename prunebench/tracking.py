"""MLflow as a projection of the store: it can be filled again at any time, on any server."""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunebench.errors import RequestError
from prunebench.record import Record, slug

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow itself would ask a dead server again for minutes, while what is computed waits.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "file", "databricks")


def default_uri(store: Path) -> str:
    """The embedded tracking database of a store."""
    return f"sqlite:///{store.absolute() / 'mlflow.db'}"


def metric_name(name: str) -> str:
    """A value's name as MLflow accepts it: ``sp2ps/grad-cam++`` becomes ``sp2ps/grad-cam-pp``."""
    return re.sub(r"[^\w./ -]", "_", name.replace("++", "-pp"))


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


class Tracker:
    """Logs records: one experiment a suite, one run a network.

    Logging is idempotent: a run is found by its record's name, what is there stays, what is missing
    is added, and the tag ``complete`` is set last.

    Args:
        uri: The tracking server.
        suite: The suite's name.
        lock: A file; processes that name the same one log in turns. Without turns two of them
            would set a new database up at once, or start the same run twice.

    Raises:
        RequestError: The address is none.
    """

    def __init__(self, uri: str, suite: str, lock: Path | None = None) -> None:
        scheme = uri.partition(":")[0].partition("+")[0]
        if scheme not in SCHEMES:
            raise RequestError(
                f"{_without_password(uri)!r} is no tracking server; expected http://..., "
                "postgresql://... or sqlite:///FILE",
                where="--tracking-uri",
            )
        self.uri = uri
        self.suite = suite
        self.lock = lock
        self.error: str | None = None

    @cached_property
    def _client(self) -> MlflowClient:
        for variable, value in SETTINGS.items():
            os.environ.setdefault(variable, value)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    @cached_property
    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self.suite)
        if found is None:
            location = None
            if self.uri.startswith("sqlite:///"):
                beside = Path(self.uri.removeprefix("sqlite:///")).absolute().parent
                location = (beside / "mlartifacts" / self.suite).as_uri()
            try:
                return str(self._client.create_experiment(self.suite, artifact_location=location))
            except MlflowException:  # another process was faster
                found = self._client.get_experiment_by_name(self.suite)
                if found is None:
                    raise
        return str(found.experiment_id)

    def log(self, record: Record, baseline: Record | None = None) -> None:
        """Logs a record. A server that fails is noted and left alone: the store is the truth.

        Args:
            record: The network's record.
            baseline: Its baseline's, whose maps are shown beside its own.
        """
        if self.error is not None:
            return
        try:
            with self._alone():
                self._log(record, baseline)
        except Exception as error:
            first_line = str(error).strip().partition("\n")[0]
            self.error = _without_password(f"{self.uri}: {type(error).__name__}: {first_line}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.lock is None:
            yield
            return
        with self.lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _log(self, record: Record, baseline: Record | None) -> None:
        from mlflow.entities import Metric, Param, RunTag

        client = self._client
        run = self._find(record) or self._start(record)
        run_id = run.info.run_id
        now = int(time.time() * 1000)  # of two values, MLflow shows the later one
        metrics = [
            Metric(metric_name(name), value.mean, now, 0)
            for name, value in record.values.items()
            if value.mean is not None and run.data.metrics.get(metric_name(name)) != value.mean
        ]
        metrics += self._reached(record, run, now)
        known = {name for name in run.data.metrics if name.startswith("curve/")}
        metrics += [metric for metric in self._curves(record) if metric.key not in known]
        params = [
            Param(name, str(value)[:500])
            for name, value in self._params(record).items()
            if name not in run.data.params
        ]
        tags = [RunTag(name, value[:5000]) for name, value in self._tags(record).items()]
        if metrics or params or run.data.tags.get("complete") != "true":
            for start in range(0, max(len(metrics), 1), 900):
                client.log_batch(run_id, metrics[start : start + 900])
            client.log_batch(run_id, params=params, tags=tags)
            self._log_pictures(record, baseline, run_id)
            client.set_tag(run_id, "complete", "true")
            client.set_terminated(run_id)

    def _find(self, record: Record) -> Run | None:
        found = self._client.search_runs(
            [self._experiment], f"tags.`prunebench.record` = '{record.id}'", max_results=1
        )
        return found[0] if found else None

    def _start(self, record: Record) -> Run:
        level = "" if record.level is None else f" {record.level:g}"
        return self._client.create_run(
            self._experiment,
            run_name=f"{record.model} {record.pruner}{level} seed {record.seed}",
            tags={"prunebench.record": record.id},
        )

    def _reached(self, record: Record, run: Run, now: int) -> Iterable[Any]:
        from mlflow.entities import Metric

        reached = record.reached
        ratios = {
            "macs_ratio": 1 - reached.macs,
            "params_ratio": 1 - reached.params,
            "weights_ratio": 1 - reached.weights,
            "level": record.level,
        }
        return [
            Metric(name, value, now, 0)
            for name, value in ratios.items()
            if value is not None and run.data.metrics.get(name) != value
        ]

    def _curves(self, record: Record) -> Iterable[Any]:
        from mlflow.entities import Metric

        for stage, curve in record.curves.items():
            for point in curve:
                yield Metric(f"curve/{stage}_loss", point.loss, 0, point.epoch)
                if point.validation_accuracy is not None:
                    name = f"curve/{stage}_validation_accuracy"
                    yield Metric(name, point.validation_accuracy, 0, point.epoch)

    def _params(self, record: Record) -> dict[str, Any]:
        recovery = record.conditions.recovery or {}
        return {
            "dataset": record.dataset,
            "model": record.model,
            "pruner": record.pruner_name,
            "level": record.level,
            "round": record.round,
            "seed": record.seed,
            "role": record.role,
            "target_layer": record.conditions.target_layer,
            "class_policy": record.conditions.class_policy,
            **{f"pruner.{k}": v for k, v in record.pruner_parameters.items()},
            **{f"recovery.{k}": v for k, v in recovery.items()},
        }

    def _tags(self, record: Record) -> dict[str, str]:
        tags = {
            "prunebench.protocol": record.protocol,
            "prunebench.keys": json.dumps(record.keys),
            "prunebench.provenance": json.dumps(record.provenance),
        }
        # Written even if empty: what was missing at first may have been computed since.
        missing = {k: v.reason for k, v in record.values.items() if v.mean is None}
        return tags | {"prunebench.missing": json.dumps(missing)}

    def _log_pictures(self, record: Record, baseline: Record | None, run_id: str) -> None:
        from prunebench.overlays import overlays

        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "record.json").write_text(record.to_json())
            for name, png in record.pictures.items():
                (root / f"{slug(name)}.png").write_bytes(base64.b64decode(png))
            (root / "overlays").mkdir()
            for name, picture in overlays(record, baseline):
                (root / "overlays" / f"{name}.png").write_bytes(picture)
            self._client.log_artifacts(run_id, folder)
