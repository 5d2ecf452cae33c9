"""Reading records from their files, of this schema or of an older one."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prunebench.errors import RequestError, shorten_numbers
from prunebench.input_files import read_bytes
from prunebench.record.migrations import migrate
from prunebench.record.record import Record

LARGEST = 2_000_000  # bytes of one record's file
DEEPEST = 20  # lists and mappings within one another, where a record's form is free
MOST_ENTRIES = 20_000  # of one field
LARGEST_WHOLE = 2**64  # of whole numbers where a record's form is free


def read_record(path: Path) -> Record:
    """Read and validate a record's file, of this schema or of an older one.

    Raises:
        RequestError: It is oversized, of a newer schema, or not a valid record; the message
            names the field.
    """
    record = _validated(read_bytes(path, LARGEST), path)
    for name in Record.model_fields:
        _limit(getattr(record, name), name, path)
    _limit(record.conditions.recovery, "conditions.recovery", path)
    return record


def _limit(content: Any, field: str, path: Path) -> None:
    """Refuse what is nested so deeply, or so long, or so large, that working with it fails."""
    waiting, entries = [(content, 1)], 0
    while waiting:
        found, depth = waiting.pop()
        if isinstance(found, str):
            if not (found.isascii() or _is_unicode(found)):
                raise RequestError(f"{field}: holds half a character", where=str(path))
            continue
        if isinstance(found, int) and abs(found) > LARGEST_WHOLE:
            raise RequestError(f"{field}: holds a number beyond 64 bits", where=str(path))
        if not isinstance(found, dict | list | tuple):
            continue
        if depth > DEEPEST:
            raise RequestError(f"{field}: is nested more than {DEEPEST} deep", where=str(path))
        entries += len(found)
        if entries > MOST_ENTRIES:
            raise RequestError(f"{field}: has more than {MOST_ENTRIES:,} entries", where=str(path))
        parts = [*found, *found.values()] if isinstance(found, dict) else found
        waiting.extend((part, depth + 1) for part in parts)


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written to a file: JSON can spell halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _validated(text: bytes, path: Path) -> Record:
    try:
        return Record.model_validate_json(text)  # several times faster than by way of a dict
    except ValidationError:
        pass  # of an older schema, or wrong
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"is not JSON: {error}", where=str(path)) from None
    try:
        return Record.model_validate(migrate(content, where=str(path)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "record"
        message = shorten_numbers(first["msg"])
        raise RequestError(f"{field}: {message}", where=str(path)) from None


@contextmanager
def keeping_all() -> Iterator[None]:
    """Pause the search for garbage: very many records are read twice as fast."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def read_records(*folders: Path, broken: list[RequestError] | None = None) -> list[Record]:
    """Read all records of some folders of results, sorted by id.

    Args:
        folders: The folders.
        broken: Where to put what is wrong with files that are left out; without, the first one is
            raised.

    Raises:
        RequestError: A file is not a valid record, is not named for its id, or two folders hold
            different records of one id.
    """
    found: dict[str, Record] = {}

    def read(path: Path) -> Record:
        record = read_record(path)
        if path.stem != record.id:
            raise RequestError(f"id: {record.id!r} is not the file's name", where=str(path))
        first = found.setdefault(record.id, record)
        if first is not record and first != record:
            raise RequestError(
                f"id: {record.id!r} is another record in another folder", where=str(path)
            )
        return first

    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    _read_each(paths, read, broken)
    return [found[name] for name in sorted(found)]


def read_readable(paths: Iterable[Path], broken: list[RequestError]) -> list[Record]:
    """Read the records of some files; one that cannot be read takes no other with it.

    Args:
        paths: The files.
        broken: Where to put what is wrong with those left out.
    """
    return _read_each(paths, read_record, broken)


def _read_each(
    paths: Iterable[Path], read: Callable[[Path], Record], broken: list[RequestError] | None
) -> list[Record]:
    found = []
    with keeping_all():
        for path in paths:
            try:
                found.append(read(path))
            except RequestError as error:
                if broken is None:
                    raise
                broken.append(error)
    return found
