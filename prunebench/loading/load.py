"""``load``: from the name of a row to its network."""

from __future__ import annotations

from pathlib import Path

from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_file
from prunebench.loading.published import MOST_BYTES, fetch
from prunebench.loading.stored import has_network, load_stored
from prunebench.networks import Network
from prunebench.networks.portable import read_exported
from prunebench.record import Record, read_record
from prunebench.record.files import list_records
from prunebench.store import Store


def load(
    row: Record | str | Path,
    store: str | Path = ".prunebench",
    results: str | Path = "leaderboard/results",
    *,
    trusted: bool = False,
    most_bytes: int = MOST_BYTES,
) -> Network:
    """Load the network of a row: from the store where it was made, or from its published weights.

    Args:
        row: A record, its id, or its file.
        store: Folder of results.
        results: Folder of published records.
        trusted: Whether Python code may be run that the store or the weights' file brings along.
        most_bytes: The largest file of weights that is fetched.

    Returns:
        The network on the CPU, in evaluation mode: its ``module`` is a plain ``torch.nn.Module``
        in its pruned sizes, its ``architecture`` tells the normalisation.

    Raises:
        RequestError: There is no such row, or its network is neither stored nor published.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.yaml").write_text('''
        ... dataset: digits
        ... model: {digits-cnn: {training: {epochs: 1, images: 100}}}
        ... pruner: l1-filter
        ... levels: [0.5]
        ... metrics: [accuracy, params]
        ... ''')
        >>> import prunebench as pb
        >>> results = pb.run("small.yaml", "results", tracking_uri="", device="cpu", quiet=True)
        >>> network = pb.load(results.records[-1].id, store="results")
        >>> sum(weight.numel() for weight in network.module.parameters()) < 40_000
        True
    """
    opened = Store(store, reading=True, trusted=trusted)
    record = row if isinstance(row, Record) else find_record(str(row), opened, Path(results))
    if record.failure is not None or has_network(record, opened):
        return load_stored(record, opened)
    if record.weights is not None:
        return read_exported(fetch(record.weights, most_bytes=most_bytes), trusted=trusted)
    raise RequestError(
        f"its network is not in the store {store}, and it publishes no weights; `prunebench "
        f"reproduce {record.id} --store {store}` makes it again",
        where=f"record {record.id}",
    )


def find_record(row: str, store: Store, results: Path) -> Record:
    """Find the record of a row: a file, or an id in a store or among published records.

    Raises:
        RequestError: There is none such, or it is no valid record.
    """
    if row.endswith(".json") or is_file(Path(row)):
        return read_record(Path(row))
    known = {path.stem: path for path in (*sorted(results.glob("*.json")), *list_records(store))}
    if row not in known:
        raise RequestError(
            f"no record {row!r}; {did_you_mean(row, known)}", where=f"{store.root}, {results}"
        )
    return read_record(known[row])
