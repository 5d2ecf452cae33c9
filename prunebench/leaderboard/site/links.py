"""Where things are on the site: one place that knows its addresses."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.rows import Row
from prunebench.record import slug

LONGEST = 80  # characters of a file's name, before its ending


def name_row(row: Row) -> str:
    """Return a row's name on the site: its lowest seed's record id, safe as a file's name."""
    return row.first.id


def link_row(row: Row) -> str:
    """Return the address of a row's page from the site's root."""
    return f"row.html#{quote(name_row(row))}"


def link_pruner(name: str) -> str:
    """Return the address of a pruner's page from the root; ``name`` is the plugin's."""
    return f"pruners/{quote(_make_file_name(name))}.html"


def name_section(section: Section) -> str:
    """Return a short name that no other section has, such as ``resnet20-2ecdf5a0``."""
    record = section.first
    return _make_file_name(f"{record.model.partition('(')[0]}-{record.protocol[:8]}")


def _make_file_name(text: str) -> str:
    """Turn a text into a file's name; with a digest where that changes or cuts it."""
    name = slug(text)
    if name == text and len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
