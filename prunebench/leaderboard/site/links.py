"""Where things are on the site: one place that knows its addresses."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.record import slug

LONGEST = 80  # characters of a file's name, before its ending


def row_name(row: Row) -> str:
    """A row's name on the site: the id of its lowest seed's record, safe as a file's name."""
    return row.first.id


def row_link(row: Row) -> str:
    """The address of a row's page from the site's root."""
    return f"row.html#{quote(row_name(row))}"


def pruner_link(name: str) -> str:
    """The address of a pruner's page from the site's root; ``name`` is the plugin's."""
    return f"pruners/{quote(_file_name(name))}.html"


def section_name(section: Section) -> str:
    """A short name of a section that is its own, such as ``resnet20-2ecdf5a0``."""
    record = section.first
    return _file_name(f"{record.model.partition('(')[0]}-{record.protocol[:8]}")


def _file_name(text: str) -> str:
    """A text as a file's name; where that changes or cuts it, with a digest that keeps it apart."""
    name = slug(text)
    if name == text and len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
