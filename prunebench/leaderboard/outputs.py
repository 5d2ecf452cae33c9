"""All that is published from one board: tables, JSON, pictures and the site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prunebench.leaderboard.board import Section
from prunebench.leaderboard.publish import write_board
from prunebench.leaderboard.site.build import write_site
from prunebench.leaderboard.writers.pictures import write_pictures


def write_everything(sections: Sequence[Section], folder: Path) -> Path:
    """Write ``README.md``, ``board.json``, ``pictures/`` and ``site/``.

    Args:
        sections: From ``board``.
        folder: Where to; it is made if need be.

    Returns:
        The page to open.
    """
    write_board(sections, folder)
    write_pictures(sections, folder / "pictures")
    return write_site(sections, folder / "site")
