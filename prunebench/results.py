"""What a run found, and the records a store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_folder
from prunebench.record import Record, read_records

if TYPE_CHECKING:
    import pandas as pd

    from prunebench.networks import Network


@dataclass(repr=False)
class Results:
    """What a run found.

    Attributes:
        suite: The suite's name; where records of several were read, their names.
        records: One for each network; of one that could not be made it says why.
        failed: Messages of failed steps, by key.
        blocked: Number of steps that a failure left undone.
        undone: Number of steps that were not reached (stopped by a time limit).
        tracking_error: Why results could not be logged; they are in the store all the same.
        store: The folder where the networks are, if they were made here.
    """

    suite: str
    records: list[Record] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: int = 0
    undone: int = 0
    tracking_error: str | None = None
    store: Path | None = None

    @property
    def exit_status(self) -> int:
        """0 all well, 1 something failed or was not reached."""
        return int(bool(self.failed or self.blocked or self.undone or self.tracking_error))

    def __repr__(self) -> str:
        failed = len(self.failed) or sum(each.failure is not None for each in self.records)
        plural = "" if len(self.records) == 1 else "s"
        steps = f", {self.undone} steps to do" if self.undone else ""
        return (
            f"Results: {len(self.records)} network{plural} of suite {self.suite!r}, "
            f"{failed} failed{steps}"
        )

    def _repr_html_(self) -> str:
        from prunebench.leaderboard.writers.notebook import to_html

        return to_html(self.records, repr(self))

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

    def network(self, row: Record | str | Mapping[str, Any], *, trusted: bool = False) -> Network:
        """Return the network of a row: its ``module`` is a plain ``torch.nn.Module``.

        Args:
            row: A record, its id, or a row of ``to_pandas()``.
            trusted: Whether Python code may be run that only the store names.

        Raises:
            RequestError: There is no such row, or its network is neither stored nor published.
        """
        from prunebench.loading.load import load

        wanted = row.id if isinstance(row, Record) else row if isinstance(row, str) else row["id"]
        known = {record.id: record for record in self.records}
        if wanted not in known:
            raise RequestError(f"no record {wanted!r}; {did_you_mean(str(wanted), known)}")
        return load(known[wanted], self.store or ".prunebench", trusted=trusted)

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
