"""An MLflow database is there as a whole or not at all, however its set-up ends."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from prunebench.errors import RequestError
from prunebench.tracking.database import is_half_made, prepare_database


def write(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)
    return path


BEGUN = ("CREATE TABLE alembic_version (version_num)", "CREATE TABLE _alembic_tmp_runs (a)")
LATER = (*BEGUN, "CREATE TABLE experiments (experiment_id)")
WHOLE = (*LATER, "INSERT INTO experiments VALUES (0)")


def make_whole(uri: str) -> None:
    write(Path(uri.removeprefix("sqlite:///")), *WHOLE)


@pytest.mark.parametrize("statements", [BEGUN, LATER])
def test_a_half_made_database_is_set_aside(tmp_path: Path, statements: tuple[str, ...]) -> None:
    file = write(tmp_path / "mlflow.db", *statements)
    prepare_database(file, make_whole)
    assert not is_half_made(file)
    assert is_half_made(tmp_path / "mlflow.db.half-made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.half-made"]


@pytest.mark.parametrize("statements", [WHOLE, ("CREATE TABLE mine (a)",), ()])
def test_any_other_database_stays_as_it_is(tmp_path: Path, statements: tuple[str, ...]) -> None:
    file = write(tmp_path / "mlflow.db", *statements)
    before = file.read_bytes()
    prepare_database(file, make_whole)
    assert file.read_bytes() == before


def test_a_set_up_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"

    def interrupted(uri: str) -> None:
        write(Path(uri.removeprefix("sqlite:///")), *BEGUN)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_database(file, interrupted)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mlflow.db-journal").write_bytes(b"of a database that is gone")
    prepare_database(file, make_whole)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_damaged_database_is_named_with_its_remedy(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"zeros, or something else" * 1000)
    with pytest.raises(RequestError, match=r"mlflow\.db: is damaged .*moved away"):
        prepare_database(file, make_whole)
    file.rename(tmp_path / "away")
    prepare_database(file, make_whole)
    assert not is_half_made(file)


def test_a_place_where_nothing_can_be_made_is_seen_at_once() -> None:
    with pytest.raises(OSError, match="/proc/"):
        prepare_database(Path("/proc/mlflow.db"), lambda uri: pytest.fail("tried for minutes"))


def test_of_two_that_set_up_at_once_one_stands(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"

    def overtaken(uri: str) -> None:
        make_whole(uri)
        write(file, *WHOLE, "CREATE TABLE theirs (a)")

    prepare_database(file, overtaken)
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM theirs").fetchone() == (0,)
