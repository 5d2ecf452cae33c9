"""Cards: the facts about a plugin that people ask for and code should not hard-code."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from prunebench.errors import RequestError
from prunebench.plugins.finding import Entry


class Paper(BaseModel):
    """Where a method was published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    authors: str
    year: int
    doi: str | None = None
    arxiv: str | None = None
    url: str | None = None


class Published(BaseModel):
    """A number that the method's authors published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    value: float | str
    source: str


class Card(BaseModel):
    """One plugin's card, ``registry/KIND/NAME.yaml`` in its package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    summary: str
    family: str
    paper: Paper | None = None
    choices: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()


def find_registry(package: str) -> Path | None:
    """Find the folder ``registry/`` of an import package: inside it, or beside it in a checkout."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    inside = Path(spec.origin).parent / "registry"
    beside = inside.parent.parent / "registry"
    return inside if inside.is_dir() else beside if beside.is_dir() else None


def read_card(entry: Entry) -> Card | None:
    """Read a plugin's card; None if its package ships none.

    Raises:
        RequestError: The card is malformed.
    """
    root = find_registry(entry.target.partition(":")[0].partition(".")[0])
    path = root / entry.kind / f"{entry.name}.yaml" if root else None
    if path is None or not path.is_file():
        return None
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Card.model_validate(content)
    except (yaml.YAMLError, ValidationError) as error:
        raise RequestError(f"malformed card: {error}", where=str(path)) from None
