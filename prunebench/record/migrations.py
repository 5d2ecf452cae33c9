"""Schemas of records: what brings the JSON of an older one to the one that is read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from prunebench.errors import RequestError

Content = dict[str, Any]

SCHEMA: Final = 4


def _from_1(content: Content) -> Content:
    """Keep what is there: 2 added ``moved``, ``times``, ``classes``, ``pictures_withheld``.

    All of these may be absent.
    """
    return content


def _from_2(content: Content) -> Content:
    """Keep what is there: 3 added the ``terms`` of an epoch, which may be absent."""
    return content


def _from_3(content: Content) -> Content:
    """Keep what is there: 4 added what the rules of the board read, all of which may be absent.

    ``failure``, ``per_image``, ``recalls``, ``training``, ``reads_explanations``, ``changed``.
    """
    return content


MIGRATIONS: Mapping[int, Callable[[Content], Content]] = {1: _from_1, 2: _from_2, 3: _from_3}
"""By schema: what makes the JSON of a record one of the next schema."""


def migrate(content: Any, where: str | None = None) -> Any:
    """Bring a record's JSON to the present schema; what is no record is left as it is.

    Args:
        content: The JSON as read. It is not changed.
        where: The file, for the message.

    Raises:
        RequestError: The schema is newer than this version of PruneBench, or there is none such.
    """
    found = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(found, int):
        return content
    if found > SCHEMA:
        raise RequestError(
            f"has schema {found}; this version reads up to {SCHEMA}: upgrade prunebench",
            where=where,
        )
    if found != SCHEMA and found not in MIGRATIONS:
        raise RequestError(
            f"schema_version: there is no schema {found}; expected {min(MIGRATIONS)} to {SCHEMA}",
            where=where,
        )
    for schema in range(found, SCHEMA):
        content = {**MIGRATIONS[schema](content), "schema_version": schema + 1}
    return content
