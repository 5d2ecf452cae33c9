"""Writing the site: every page from the same sections of comparable rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

from prunebench.errors import RequestError
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.site import gallery, speed
from prunebench.leaderboard.site.board import page as board
from prunebench.leaderboard.site.correlations import page as correlations
from prunebench.leaderboard.site.papers import page as papers
from prunebench.leaderboard.site.pruners import pages as pruners
from prunebench.leaderboard.site.questions import page as questions
from prunebench.leaderboard.site.row import page as row

WRITERS: tuple[Callable[[Sequence[Section], Path], None], ...] = (
    board.write,
    row.write,
    pruners.write,
    gallery.write,
    correlations.write,
    questions.write,
    papers.write,
    speed.write,
)
OURS = "assets/theme.js"
"""A file by which a folder is known as a site that may be written anew."""


def write_site(sections: Sequence[Section], site: Path) -> Path:
    """Write the site in place of the one that was there.

    Equal sections give equal bytes where the same metrics are installed.

    Args:
        sections: The board.
        site: The folder. One that holds anything but a site of ours is refused.

    Returns:
        The page to open.

    Raises:
        RequestError: The folder holds something else.
    """
    if site.exists() and any(site.iterdir()) and not (site / OURS).is_file():
        raise RequestError("holds something that is not a site of ours", where=str(site))
    site.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{site.name}.", dir=site.parent) as folder:
        beside = Path(folder) / "new"
        _write_assets(beside / "assets")
        for write in WRITERS:
            write(sections, beside)
        try:
            if site.exists():
                site.replace(Path(folder) / "old")
            beside.replace(site)
        except OSError:
            if not (site / OURS).is_file():  # of two that write at once, one puts its site there
                raise
    return site / "index.html"


def _write_assets(folder: Path) -> None:
    with as_file(files("prunebench.leaderboard.site") / "assets") as source:
        shutil.copytree(source, folder)
    with as_file(files("plotly") / "package_data" / "plotly.min.js") as source:
        shutil.copy(source, folder)
