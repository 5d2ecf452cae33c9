"""What a run found, and the records a store holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_file, is_folder
from prunebench.record import Record, read_record, read_records
from prunebench.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Results:
    """What a run found.

    Attributes:
        suite: The suite's name; where records of several were read, their names.
        records: One for each network; of one that could not be made it says why.
        failed: Messages of failed steps, by key.
        blocked: Number of steps that a failure left undone.
        undone: Number of steps that were not reached (stopped by a time limit).
        tracking_error: Why results could not be logged; they are in the store all the same.
    """

    suite: str
    records: list[Record] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: int = 0
    undone: int = 0
    tracking_error: str | None = None

    @property
    def exit_status(self) -> int:
        """0 all well, 1 something failed or was not reached."""
        return int(bool(self.failed or self.blocked or self.undone or self.tracking_error))

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a network, the controls too: what it is, then its values' means."""
        import pandas as pd

        rows = [
            {
                "id": record.id,
                "suite": record.suite,
                "protocol": record.protocol,
                "dataset": record.dataset,
                "model": record.model,
                "role": record.role,
                "pruner": record.pruner,
                "level": record.level,
                "round": record.round,
                "seed": record.seed,
                "axis": record.axis,
                **{f"reached_{k}": v for k, v in record.reached.model_dump().items()},
                **{name: value.mean for name, value in record.values.items()},
            }
            for record in self.records
        ]
        return pd.DataFrame(rows)

    def rescaled(self) -> pd.DataFrame:
        """Return how much of the baseline's maps is preserved, between the two controls.

        1 is as much as the same training leaves without pruning (the ``none`` pruner), 0 as much
        as random weights have by chance. One row a pruner, level and value; without a number
        there is a reason.
        """
        import pandas as pd

        from prunebench.leaderboard.board import board

        found = []
        for section in board(self.records):
            for row in section.rows:
                record = row.first
                about = {
                    "dataset": record.dataset,
                    "model": record.model,
                    "role": record.role,
                    "pruner": record.pruner,
                    "level": record.level,
                    "round": record.round,
                }
                for name in section.rescalable:
                    scale = section.rescaled(row, name)
                    value = {"value": name, "rescaled": scale.value, "reason": scale.reason}
                    found.append(about | value)
        return pd.DataFrame(found)

    def leaderboard(self) -> str:
        """Return the board in markdown."""
        from prunebench.leaderboard.board import board
        from prunebench.leaderboard.writers.markdown import to_markdown

        return to_markdown(board(self.records))


def read_results(*folders: str | Path) -> Results:
    """Read published records, such as those in ``leaderboard/results``.

    Args:
        folders: Folders of records; two of them may hold the same record.

    Returns:
        Their records by id, ``to_pandas()`` for a table. Only rows of one ``protocol`` are
        comparable.

    Raises:
        RequestError: A folder is not there, or a file in it is not a valid record.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.yaml").write_text('''
        ... dataset: digits
        ... model: {digits-cnn: {training: {epochs: 1, images: 100}}}
        ... pruner: l1-unstructured
        ... levels: [0.5]
        ... metrics: [accuracy, params]
        ... ''')
        >>> import prunebench as pb
        >>> _ = pb.run("small.yaml", "results", tracking_uri="", device="cpu", quiet=True)
        >>> table = pb.read_results("results/records/small").to_pandas()
        >>> sorted(table["pruner"])
        ['baseline', 'l1-unstructured', 'none']
    """
    for folder in folders:
        if not is_folder(Path(folder)):
            raise RequestError("no such folder", where=str(folder))
    records = read_records(*map(Path, folders))
    return Results(", ".join(sorted({record.suite for record in records})), records)


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
