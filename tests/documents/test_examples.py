"""The examples run as they are, and make what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.tracking import Tracker

REPOSITORY = Path(__file__).parent.parent.parent


def example(name: str, folder: Path, *arguments: str) -> str:
    """Runs an example in a folder and returns what it prints."""
    command = [sys.executable, str(REPOSITORY / "examples" / name), *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_results_in_pandas(tmp_path: Path) -> None:
    (tmp_path / "leaderboard").symlink_to(REPOSITORY / "leaderboard")
    said = example("results_in_pandas.py", tmp_path)
    records = pb.read_results(REPOSITORY / "leaderboard" / "results").records
    assert f"{len(records)} networks" in said
    with Image.open(tmp_path / "attention.png") as figure:
        assert figure.size == (1800, 900)
        assert len(figure.convert("RGB").getcolors(10**6) or []) > 20  # something is drawn


@pytest.mark.slow
def test_mlflow_query(tmp_path: Path) -> None:
    records = pb.read_results(REPOSITORY / "leaderboard" / "results").records
    first = [record for record in records if record.suite == records[0].suite]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = Tracker(uri, records[0].suite)
    for record in first:
        tracker.log(record)
    assert tracker.error is None
    said = example("mlflow_query.py", tmp_path, uri, records[0].suite)
    rows = said.strip().splitlines()[1:]
    assert len(rows) == sum(record.role == "compressed" for record in first)
    kept = [float(row.split()[-1]) for row in rows]
    assert kept == sorted(kept, reverse=True)


@pytest.mark.slow
def test_published_results_are_read_in_one_line(tmp_path: Path) -> None:
    results = pb.read_results(REPOSITORY / "leaderboard" / "results")
    table = results.to_pandas()
    assert list(table["id"]) == sorted(record.id for record in results.records)
    assert set(table["suite"]) == set(results.suite.split(", "))
    by_protocol = table.groupby("protocol")["role"].apply(list)
    assert all("baseline" in roles for roles in by_protocol)
    with pytest.raises(RequestError, match="no such folder"):
        pb.read_results(tmp_path / "nowhere")
