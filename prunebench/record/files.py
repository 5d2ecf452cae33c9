"""Where records are: in a store, and in a folder of published ones."""

from __future__ import annotations

from pathlib import Path

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_file
from prunebench.record.reading import read_record
from prunebench.record.record import Record
from prunebench.store import Store


def list_records(store: Store, suites: tuple[str, ...] = ()) -> list[Path]:
    """List the files of the records in a store, of all suites or of some."""
    root = store.root / "records"
    folders = root.iterdir() if root.is_dir() else ()
    names = suites or tuple(sorted(folder.name for folder in folders if folder.is_dir()))
    return [path for name in names for path in sorted((root / name).glob("*.json"))]


def find_records(store: Store, runs: list[str]) -> list[Path]:
    """Find files of records by suite, by name, or by path.

    Raises:
        RequestError: One is not there.
    """
    known = {path.stem: path for path in list_records(store)}
    suites = {path.parent.name for path in known.values()}
    chosen: list[Path] = []
    for run in runs:
        if run in suites:
            chosen += list_records(store, (run,))
        elif run in known:
            chosen.append(known[run])
        elif is_file(Path(run)):
            chosen.append(Path(run))
        else:
            raise RequestError(f"no record {run!r}; {did_you_mean(run, suites | set(known))}")
    return chosen


def find_published(row: str, results: Path) -> Record:
    """Find the record of a row: a published record's id, or a file.

    Raises:
        RequestError: There is none such, or it is no valid record.
    """
    if row.endswith(".json"):
        return read_record(Path(row))
    known = {path.stem: path for path in results.glob("*.json")}
    if row not in known:
        raise RequestError(f"no record {row!r}; {did_you_mean(row, known)}", where=str(results))
    return read_record(known[row])
