"""A suite's experiment on an MLflow server: its runs, each there once, complete or not."""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from prunebench.tracking.address import find_database
from prunebench.tracking.database import prepare_database

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

# MLflow itself would ask a dead server again for minutes, while what is computed waits.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
NETWORK, BOARD = "prunebench.record", "prunebench.board"
"""Tags that tell whose run it is: a network's, by its record, or the suite's board's."""
DIGEST, COMPLETE = "prunebench.digest", "complete"
BATCH = 900  # metrics in one request; MLflow takes 1,000
PARAMETERS = 90  # parameters in one request; MLflow takes 100


def connect(uri: str) -> MlflowClient:
    """Connect to a tracking server; MLflow is imported here and not before."""
    for variable, value in SETTINGS.items():
        os.environ.setdefault(variable, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


class MlflowExperiment:
    """The experiment of a suite.

    Args:
        uri: The tracking server.
        name: The suite's name.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name

    @cached_property
    def client(self) -> MlflowClient:
        """The connection; an SQLite database is made if need be."""
        if (file := find_database(self.uri)) is not None:
            prepare_database(file, lambda uri: connect(uri).search_experiments(max_results=1))
        return connect(self.uri)

    @cached_property
    def id(self) -> str:
        """The experiment's id; it is made if need be."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.name)
        if found is None:
            location = None
            if (file := find_database(self.uri)) is not None:
                location = (file.parent / "mlartifacts" / self.name).as_uri()
            try:
                return str(self.client.create_experiment(self.name, artifact_location=location))
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(self.name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":  # by a person; who runs the suite wants it again
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    @cached_property
    def complete(self) -> dict[str, str]:
        """By record, what the networks' runs held that were complete when this was first asked."""
        runs = self._runs(f"tags.`{COMPLETE}` = 'true'")
        tags = [run.data.tags for run in runs if self.holds_artefacts(run)]
        return {each[NETWORK]: each.get(DIGEST, "") for each in tags if NETWORK in each}

    def run(self, tag: str, value: str, name: str) -> Run:
        """Find the run with this tag, or start it.

        Args:
            tag: ``NETWORK`` or ``BOARD``.
            value: The tag's value.
            name: What a new run is called.
        """
        where = f"tags.`{tag}` = '{value}'"
        while True:
            if found := self._first(where):
                return found[0]
            started = self.client.create_run(self.id, run_name=name, tags={tag: value})
            if len(self._first(where)) == 1:
                return started
            # Another machine started it as well. Whoever sees that withdraws, and looks again.
            self.client.delete_run(started.info.run_id)
            time.sleep(random.uniform(0, 1))

    def fill(
        self,
        run: Run,
        digest: str,
        folder: Path,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        status: str | None = None,
    ) -> None:
        """Add to a run, and say last of all that it is complete.

        Args:
            run: The run.
            digest: Of what it holds then.
            folder: Its artefacts.
            metrics: Metrics to add.
            params: Parameters to add; MLflow refuses to change one.
            tags: Tags to set.
            status: How MLflow shows the run; as finished by default.
        """
        from mlflow.entities import Param, RunTag

        client, run_id = self.client, run.info.run_id
        for start in range(0, len(metrics), BATCH):
            client.log_batch(run_id, metrics[start : start + BATCH])
        listed = [Param(name[:250], value[:500]) for name, value in (params or {}).items()]
        for start in range(0, len(listed), PARAMETERS):
            _retry(partial(client.log_batch, run_id, params=listed[start : start + PARAMETERS]))
        _retry(
            partial(
                client.log_batch,
                run_id,
                tags=[RunTag(name, value[:5000]) for name, value in (tags or {}).items()],
            )
        )
        client.log_artifacts(run_id, str(folder))
        done = [RunTag(DIGEST, digest), RunTag(COMPLETE, "true")]
        _retry(partial(client.log_batch, run_id, tags=done))
        client.set_terminated(run_id, status=status)

    def is_complete(self, run: Run, digest: str) -> bool:
        """Return whether a run holds all of what has this digest."""
        tags = run.data.tags
        told = tags.get(COMPLETE) == "true" and tags.get(DIGEST) == digest
        return told and self.holds_artefacts(run)

    def holds_artefacts(self, run: Run) -> bool:
        """Return whether a run's files are still there: a server's disk may have been tidied."""
        place, database = urlsplit(run.info.artifact_uri), find_database(self.uri)
        if place.scheme not in ("", "file"):
            return bool(self.client.list_artifacts(run.info.run_id))
        folder = Path(unquote(place.path))
        # Elsewhere than beside its database it may be on another machine, or before a move.
        beside = database is not None and folder.is_relative_to(database.parent)
        return not beside or any(folder.glob("*"))

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the experiment itself."""
        return dict(self.client.get_experiment(self.id).tags)

    def describe(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment itself."""
        for name, value in tags.items():
            _retry(partial(self.client.set_experiment_tag, self.id, name, value))

    def tag(self, run: Run, name: str, value: str) -> None:
        """Set a tag of a run."""
        _retry(partial(self.client.set_tag, run.info.run_id, name, value))

    def _first(self, where: str) -> list[Run]:
        order = ["attributes.start_time ASC"]
        return list(self.client.search_runs([self.id], where, max_results=2, order_by=order))

    def _runs(self, where: str) -> Iterator[Run]:
        token = None
        while True:
            page = self.client.search_runs([self.id], where, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _retry(call: Callable[[], object]) -> None:
    """Make a call again where another process was faster.

    MLflow looks whether a tag is there and then inserts it; of two that do so at once the database
    refuses one, which finds the tag the next time.
    """
    from mlflow.exceptions import MlflowException

    for last in (False, False, True):
        try:
            call()
            return
        except MlflowException as error:
            # As PostgreSQL and SQLite ("unique"), and MySQL ("Duplicate entry") put it.
            if last or not re.search("unique|duplicate", str(error), re.IGNORECASE):
                raise
            time.sleep(random.uniform(0, 0.5))
