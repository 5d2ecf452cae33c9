"""Rule 16: a board is dated, and has a protocol that says which suites are its headlines."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from prunebench.leaderboard.board.rows import Row
from prunebench.plugins.cards import find_registry


class Headline(BaseModel):
    """A headline suite.

    Attributes:
        suite: Its name, as records tell it.
        title: What people call it.
        dataset: The data set's name.
        model: The model's name.
        cams: Explanation methods that scores average.
        pruners: Labels of the pruners that are tested against each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    title: str
    dataset: str
    model: str
    cams: tuple[str, ...]
    pruners: tuple[str, ...]


class Protocol(BaseModel):
    """A dated protocol.

    Attributes:
        name: Its date, such as ``2026.12``.
        headlines: In order of importance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^\d{4}\.\d{2}$")]
    headlines: tuple[Headline, ...]

    def find_headline(self, rows: list[Row]) -> Headline | None:
        """Return the headline suite that the controls of a section are of; None for a study."""
        controls = [one for row in rows if row.first.role == "control" for one in row.records]
        told = {(one.suite, one.dataset.split("(")[0], one.model.split("(")[0]) for one in controls}
        found = (each for each in self.headlines if (each.suite, each.dataset, each.model) in told)
        return next(found, None)


@lru_cache(maxsize=1)
def load_protocol() -> Protocol:
    """Return the present protocol, the latest in ``registry/protocols``."""
    registry = find_registry("prunebench")
    assert registry is not None, "the registry is part of the package"
    return read_protocol(max((registry / "protocols").glob("*.yaml")))


def read_protocol(path: Path) -> Protocol:
    """Read a protocol's file."""
    return Protocol.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
