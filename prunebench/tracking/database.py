"""An SQLite database for MLflow: there with all its tables, or not at all."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from prunebench.errors import RequestError

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def prepare_database(file: Path, fill: Callable[[str], object]) -> None:
    """Make a database where there is none, and set one aside of which only a part was made.

    MLflow sets its tables up in many steps. Killed between them, it leaves a database that it
    neither finishes nor uses: it is therefore made beside its place, and linked into it when whole.

    Args:
        file: The database.
        fill: Given an address, makes what MLflow needs there.

    Raises:
        RequestError: There is one, and it is damaged.
    """
    if file.exists() and is_half_made(file):
        file.replace(file.with_name(f"{file.name}.half-made"))
    if file.exists():
        return
    for part in ("-journal", "-wal", "-shm"):  # of one that is gone; SQLite would apply them
        file.with_name(file.name + part).unlink(missing_ok=True)
    beside = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    try:
        beside.touch()  # where that fails MLflow would try again for minutes
        fill(f"sqlite:///{beside}")
        with suppress(FileExistsError):  # another process was faster
            os.link(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def is_half_made(file: Path) -> bool:
    """Return whether MLflow began to set a database up and did not come to an end.

    Its last act is the first experiment.

    Raises:
        RequestError: The file is damaged, or no database at all.
    """
    try:
        with closing(sqlite3.connect(file, timeout=60)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
            if "alembic_version" not in tables:
                return False  # MLflow begins with an empty one, and leaves what is not its own
            if "experiments" not in tables:
                return True
            return database.execute("SELECT 1 FROM experiments").fetchone() is None
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in DAMAGED:
            return False  # what it is MLflow will say
        raise RequestError(
            f"is damaged ({error}); moved away, it is made and filled again", where=str(file)
        ) from None
