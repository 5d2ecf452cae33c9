"""Fixtures for tests of the site: a real browser, sites to look at, and what went wrong there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from visiting import Visit, watch

REPOSITORY = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Opens a window: ``visit(width=390, theme="dark")``; fails the test if a page misbehaves."""
    visits: list[tuple[Any, Visit]] = []

    def start(width: int = 1400, height: int = 1000, theme: str = "light") -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme
        )
        found = Visit(context.new_page())
        watch(found)
        visits.append((context, found))
        return found

    yield start
    for context, _ in visits:
        context.close()
    assert [problem for _, found in visits for problem in found.problems] == []


@pytest.fixture(scope="session")
def write() -> Callable[[list[Any], Path], Path]:
    """Writes the site of some records; returns its folder."""
    from prunebench.leaderboard.board import board
    from prunebench.leaderboard.site.build import write_site

    def write_into(records: list[Any], folder: Path) -> Path:
        return write_site(board(records), folder).parent

    return write_into


@pytest.fixture(scope="session")
def published(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[[list[Any], Path], Path]
) -> Path:
    """The site of the published records."""
    from prunebench.record import read_records

    records = read_records(REPOSITORY / "leaderboard" / "results")
    return write(records, tmp_path_factory.mktemp("published") / "site")


@pytest.fixture(scope="session")
def nasty(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[[list[Any], Path], Path]
) -> Path:
    """The site of records whose texts try to be markup, scripts, formulas and paths."""
    from nasty_records import records

    return write(records(), tmp_path_factory.mktemp("nasty") / "site")
