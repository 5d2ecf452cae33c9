"""Places, marks and preliminary rows on the board's page, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_board_in_browser import COLUMN, names, sort, until
from visiting import Visit

from prunebench.leaderboard.board import board
from prunebench.leaderboard.site.links import name_row
from prunebench.record import Record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made_up() -> list[Record]:
    """A section with places and marks: five seeds, and one network of a single seed."""
    from worlds import world

    scores = {"good": 0.97, "fair": 0.8, "bad": 0.6}
    seeds = world(scores, noise=0.001, accuracy={"bad": 0.86})
    return [each for each in seeds if each.pruner != "fair" or each.level != 0.5 or not each.seed]


@pytest.fixture(scope="module")
def ranked(
    made_up: list[Record],
    tmp_path_factory: pytest.TempPathFactory,
    write: Callable[[list[Any], Path], Path],
) -> Path:
    return write(made_up, tmp_path_factory.mktemp("ranked") / "site")


def test_places_sort_by_the_best_that_they_may_be(
    visit: Callable[..., Visit], ranked: Path
) -> None:
    page = visit().open(ranked, "index.html")
    assert sort(page, "Rank") == "ascending"
    shown = [text.strip() for text in page.evaluate(COLUMN, "Rank")]
    there = [text for text in shown if text not in ("–", "")]
    assert there == ["1"] * 5 + ["2"] * 5
    assert shown[: len(there)] == there


def test_what_is_preliminary_is_grey_and_can_be_left_out(
    visit: Callable[..., Visit], ranked: Path, made_up: list[Record]
) -> None:
    page = visit().open(ranked, "index.html")
    (section, longer) = board(made_up)
    early = {name_row(row) for row in section.rows if len(row.records) < 3}
    early |= {name_row(row) for row in longer.rows}
    assert len(early) == 2
    grey = page.locator("#board tr.preliminary")
    assert grey.count() == len(early)
    quiet = page.locator(".quiet").first.evaluate("one => getComputedStyle(one).color")
    assert grey.first.locator("td").first.evaluate("one => getComputedStyle(one).color") == quiet
    before = names(page)
    page.check("[name=enough]")
    assert names(page) == [name for name in before if name not in early]
    assert "enough=1" in page.url


def test_a_section_s_link_shows_its_rows(visit: Callable[..., Visit], ranked: Path) -> None:
    page = visit().open(ranked, "index.html")
    every = names(page)
    page.locator("details.sections[open] a.rows").last.click()
    until(page, lambda: 0 < len(names(page)) < len(every))
    assert page.locator("#rows").evaluate("one => one.getBoundingClientRect().top") < 500


def test_marks_and_gaps_have_words(visit: Callable[..., Visit], ranked: Path) -> None:
    page = visit().open(ranked, "index.html")
    marks = page.locator("td.mark").all_inner_texts()
    words = {word for mark in marks for word in mark.split("\n") if len(word) > 3}
    assert any("not trusted" in mark for mark in marks), words
    missing = page.locator("#board .missing").first
    assert missing.get_attribute("title")
    assert missing.locator(".unseen").text_content() == f"none: {missing.get_attribute('title')}"
