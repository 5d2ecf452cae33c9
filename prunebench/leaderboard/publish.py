"""Publishing: records copied into a folder of results, and the board written from them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prunebench.errors import RequestError
from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.cells import verdict
from prunebench.leaderboard.markdown import to_markdown
from prunebench.leaderboard.rows import Row
from prunebench.record import LARGEST, Record, read_record

BOARD_SCHEMA = 1
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def submit(records: Iterable[Path], results: Path, *, replace: bool = False) -> list[Path]:
    """Copies chosen records into a folder of results, as ``ID.json``: all of them or none.

    Args:
        records: Files of records.
        results: The folder; it is made if need be.
        replace: Whether a record may take the place of a different one of the same id.

    Returns:
        The files in the folder, in the order of ``records``.

    Raises:
        RequestError: A file is missing, oversized, not a valid record, has an id that is unsafe
            as a file's name, or an id taken by a different record; names the file and the field.
    """
    chosen: dict[Path, str] = {}
    present = {path.name.lower(): path for path in results.glob("*.json")}
    for source in records:
        record = _read(source)
        if RESERVED.fullmatch(record.id):
            raise RequestError(
                f"id: {record.id!r} is not a file's name everywhere", where=str(source)
            )
        text = _canonical(record, source)
        target = results / f"{record.id}.json"
        there = present.setdefault(target.name.lower(), target)
        if there.name != target.name:
            raise RequestError(
                f"id: {record.id!r} differs from {there.name} only in case", where=str(source)
            )
        if target in chosen or (target.exists() and not replace):
            known = chosen.get(target) or target.read_text(encoding="utf-8")
            if known != text:
                raise RequestError(
                    f"id: {record.id!r} is taken by a record with another "
                    f"{_difference(known, text)}; use replace, or another id",
                    where=str(source),
                )
        chosen[target] = text
    results.mkdir(parents=True, exist_ok=True)
    for target, text in chosen.items():
        _write(target, text)
    return list(chosen)


def read_results(*folders: Path) -> list[Record]:
    """Reads all records of some folders of results, sorted by id.

    Raises:
        RequestError: A file is not a valid record, is not named for its id, or two folders hold
            different records of one id.
    """
    found: dict[str, Record] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            record = _read(path)
            if path.stem != record.id:
                raise RequestError(f"id: {record.id!r} is not the file's name", where=str(path))
            if found.setdefault(record.id, record) != record:
                raise RequestError(
                    f"id: {record.id!r} is another record in another folder", where=str(path)
                )
    return [found[name] for name in sorted(found)]


def write_board(records: Iterable[Record], out: Path) -> Path:
    """Writes ``README.md`` and ``board.json`` into a folder; equal records give equal bytes.

    Args:
        records: Validated records, in any order.
        out: The folder; it is made if need be.

    Returns:
        The file ``README.md``.
    """
    records = list(records)
    out.mkdir(parents=True, exist_ok=True)
    content = {"schema_version": BOARD_SCHEMA, "sections": [_section(s) for s in board(records)]}
    text = json.dumps(_rounded(content), indent=1, sort_keys=True, allow_nan=False)
    _write(out / "board.json", text + "\n")
    _write(out / "README.md", to_markdown(records))
    return out / "README.md"


def _read(path: Path) -> Record:
    if not path.is_file():
        raise RequestError("there is no such file", where=str(path))
    return read_record(path)


def _canonical(record: Record, source: Path) -> str:
    """The record's text as it is published: what was validated and nothing else."""
    text = record.to_json()
    if len(text.encode()) > LARGEST:
        raise RequestError(f"is larger than {LARGEST:,} bytes once written", where=str(source))
    return text


def _difference(known: str, text: str) -> str:
    try:
        before: Any = json.loads(known)
    except ValueError:
        return "content"
    after: dict[str, Any] = json.loads(text)
    if not isinstance(before, dict):
        return "content"
    return next((name for name in after if before.get(name) != after[name]), "content")


def _write(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(path)


def _section(section: Section) -> dict[str, Any]:
    record = section.first
    return {
        "dataset": record.dataset,
        "model": record.model,
        "protocol": record.protocol,
        "conditions": record.conditions.model_dump(mode="json"),
        "rankings": [asdict(ranking) for ranking in section.rankings.values()],
        "horizons": [asdict(horizon) for horizon in section.horizons],
        "rows": [_row(row, section) for row in section.rows],
    }


def _row(row: Row, section: Section) -> dict[str, Any]:
    record = row.first
    return {
        "role": record.role,
        "pruner": record.pruner,
        "level": record.level,
        "round": record.round,
        "axis": record.axis,
        "seeds": [found.seed for found in row.records],
        "planned_seeds": list(row.planned),
        "records": [found.id for found in row.records],
        "reached": row.reached.model_dump(mode="json"),
        "accuracy_drop": row.drop(section.baseline),
        "images_seen": row.images_seen,
        "trusted": {cam: verdict(row, cam) for cam in section.cams},
        "flags": list(row.flags),
        "values": {name: asdict(value) for name, value in row.estimates.items()},
        "rescaled": {name: asdict(section.rescaled(row, name)) for name in section.rescalable},
    }


def _rounded(content: Any) -> Any:
    """Nine digits, so that the last bits of a sum are not news."""
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return float(f"{content:.9g}") if isinstance(content, float) else content
