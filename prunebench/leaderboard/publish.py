"""Publishing: records copied into a folder of results, and the board written from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from prunebench.errors import RequestError
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.protocol import load_protocol
from prunebench.leaderboard.writers.board_json import to_json
from prunebench.leaderboard.writers.changes import keep_earlier, list_changes
from prunebench.leaderboard.writers.markdown import to_markdown
from prunebench.record import Record, Weights, read_record
from prunebench.record.checking import RecordIndex, check_record
from prunebench.record.reading import LARGEST
from prunebench.store.writing import write_files


def submit(
    records: Iterable[Path],
    results: Path,
    *,
    replace: bool = False,
    weights: Weights | None = None,
) -> list[Path]:
    """Copy chosen records into a folder of results, as ``ID.json``: all of them or none.

    Args:
        records: Files of records.
        results: The folder; it is made if need be.
        replace: Whether a record may take the place of a different one of the same id.
        weights: Where the network of the one record is published.

    Returns:
        The files in the folder, in the order of ``records``.

    Raises:
        RequestError: A file is missing, oversized, not a valid record, does not pass the checks
            of ``prunebench.record.checking``, makes a row that stays fail them, or has an id
            taken by a different record; names the file and the field.
    """
    chosen: dict[Path, tuple[Path, Record]] = {}
    present = {path.name.lower(): path for path in results.glob("*.json")}
    for source in records:
        record = read_record(source)
        if weights is not None:
            record = record.model_copy(update={"weights": weights})
        target = results / f"{record.id}.json"
        there = present.setdefault(target.name.lower(), target)
        if there.name != target.name:
            raise RequestError(
                f"id: {record.id!r} differs from {there.name} only in case", where=str(source)
            )
        if target in chosen or (target.exists() and not replace):
            known = chosen[target][1] if target in chosen else read_record(target)
            if known != record:
                raise RequestError(
                    f"id: {record.id!r} is taken by a record with another "
                    f"{_find_difference(known, record)}; use replace, or another id",
                    where=str(source),
                )
        chosen[target] = (source, record)
    staying = {path: read_record(path) for path in sorted(present.values()) if path not in chosen}
    others = RecordIndex([*staying.values(), *(record for _, record in chosen.values())])
    texts = {target: _check(record, others, source) for target, (source, record) in chosen.items()}
    coming = {record.id for _, record in chosen.values()}
    for path, record in staying.items():
        baseline = others.baseline_of(record)
        if baseline is not None and baseline.id in coming:
            _check(record, others, path)
    results.mkdir(parents=True, exist_ok=True)
    # A file that says the same may be of an older schema, and stays as it was published.
    write_files({path: text for path, text in texts.items() if not _is_same(path, chosen[path][1])})
    return list(chosen)


def write_board(sections: Sequence[Section], out: Path) -> Path:
    """Write ``README.md`` and ``board.json`` into a folder; equal records give equal bytes.

    A board of an earlier protocol is kept there, as ``board-DATE.json``.

    Args:
        sections: From ``board``.
        out: The folder; it is made if need be.

    Returns:
        The file ``README.md``.
    """
    out.mkdir(parents=True, exist_ok=True)
    protocol = load_protocol()
    keep_earlier(out, protocol)
    text = to_markdown(sections, list_changes(sections, out, protocol))
    write_files({out / "board.json": to_json(sections), out / "README.md": text})
    return out / "README.md"


def _is_same(path: Path, record: Record) -> bool:
    """Return whether a file holds a record already."""
    try:
        return path.is_file() and read_record(path) == record
    except RequestError:
        return False


def _check(record: Record, others: RecordIndex, source: Path) -> str:
    """Return the record's text as it is published: what was checked and nothing else."""
    if problems := check_record(record, others, published=True):
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise RequestError(f"{problems[0]}{more}", where=str(source))
    text = record.to_json()
    if len(text.encode()) > LARGEST:
        raise RequestError(f"is larger than {LARGEST:,} bytes once written", where=str(source))
    return text


def _find_difference(known: Record, record: Record) -> str:
    """Return the first field in which two records differ."""
    names = type(record).model_fields
    return next(name for name in names if getattr(known, name) != getattr(record, name))
