"""Reading the works' cards from ``registry/papers``."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from prunebench.errors import RequestError
from prunebench.leaderboard.papers.cards.work import Work
from prunebench.plugins.cards import find_registry
from prunebench.yaml_source import read_yaml


def read_work(path: Path) -> Work:
    """Read one work's card.

    Raises:
        RequestError: The card is malformed; the message names the line and the entry.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise RequestError(
            "a work's card is a mapping (title: ..., experiments: ...)", where=str(path)
        )
    try:
        return Work.model_validate(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        below = first["ctx"]["location"] if first["type"] == "misplaced" else ()
        location = (*first["loc"], *below)
        name = ".".join(map(str, location)) or "card"
        message = first["msg"].removeprefix("Value error, ")
        raise RequestError(f"{name}: {message}", where=source.where(location)) from None


def read_works(folder: Path | None = None) -> dict[str, Work]:
    """Read all works' cards, by file name.

    Args:
        folder: Where they are; by default where PruneBench keeps its own.

    Returns:
        The works by name, sorted by year, then name.

    Raises:
        RequestError: A card is malformed.
    """
    if folder is None:
        root = find_registry("prunebench")
        folder = root / "papers" if root else None
    paths = sorted(folder.glob("*.yaml")) if folder else []
    works = {path.stem: read_work(path) for path in paths}
    return dict(sorted(works.items(), key=lambda item: (item[1].year or 9999, item[0])))
