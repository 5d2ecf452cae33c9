from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from visiting import Visit

from prunebench.leaderboard.board import board
from prunebench.leaderboard.site.row.excerpt import make_suite_text
from prunebench.record import read_records

pytestmark = pytest.mark.slow

ROW = "cifar10-resnet20-parquet-resnet20-l1-filter-0.4-s0-edb637-2ecdf5"
PIXELS = "(canvas) => canvas.toDataURL()"


def test_a_row_tells_what_was_run_and_what_came_out(
    visit: Callable[..., Visit], published: Path
) -> None:
    page = visit().open(published, f"row.html#{ROW}")
    sections = board(read_records(REPOSITORY / "leaderboard" / "results"))
    row = next(row for section in sections for row in section.rows if row.first.id == ROW)
    assert page.locator("h1").inner_text() == "l1-filter, 40%"
    assert page.locator("#suite").text_content() == make_suite_text(row)
    assert f"prunebench reproduce {ROW}" in page.locator("pre").first.inner_text()
    accuracy = page.locator("tr", has=page.locator("th", has_text="Accuracy drop"))
    assert "11.03" in accuracy.inner_text()
    page.get_by_role("button", name="Copy the suite").click()
    page.get_by_text("copied", exact=True).wait_for()
    for text in ("Provenance", "Why is it not faster?", "Training curves", "Latency"):
        assert page.get_by_role("heading", name=text).count() == 1


def test_maps_stand_beside_the_baselines_and_the_slider_mixes_them(
    visit: Callable[..., Visit], published: Path
) -> None:
    page = visit().open(published, f"row.html#{ROW}")
    page.wait_for_selector("canvas.drawn-map")
    own = page.locator("canvas[aria-label^='grad-cam map of this network']").first
    other = page.locator("canvas[aria-label^='grad-cam map of baseline']").first
    page.wait_for_selector("canvas:not(.drawn-map)", state="detached")
    before = own.evaluate(PIXELS)
    assert before != other.evaluate(PIXELS)
    assert "Sp2PS 0.690" in str(own.get_attribute("aria-label"))
    page.locator("#opacity").focus()
    page.keyboard.press("End")
    page.wait_for_timeout(200)
    alone = own.evaluate(PIXELS)
    assert alone != before
    page.keyboard.press("Home")
    page.wait_for_timeout(200)
    assert own.evaluate(PIXELS) == other.evaluate(PIXELS)  # the grey image under both


def test_other_levels_and_the_board_are_a_click_away(
    visit: Callable[..., Visit], published: Path
) -> None:
    page = visit().open(published, f"row.html#{ROW}")
    page.get_by_role("link", name="80%").click()
    page.wait_for_selector("h1:has-text('l1-filter, 80%')")
    page.go_back()
    page.wait_for_selector("h1:has-text('l1-filter, 40%')")
    page.get_by_role("link", name="all rows of this group").click()
    page.wait_for_selector("html[data-ready] #board tbody tr")
    assert page.input_value("[name=group]") == "resnet20-2ecdf5a0"
    groups = set(page.locator("td.group").all_inner_texts())
    assert len(groups) == 1


def test_a_row_that_comes_late_does_not_replace_the_one_asked_for_since(
    visit: Callable[..., Visit], published: Path
) -> None:
    path = next((published / "rows").glob("cifar10-resnet20-*-l1-filter-0.8-s0-*-2ecdf5.js"))
    opened = visit()
    opened.page.add_init_script(
        """{ const append = Element.prototype.append;
        Element.prototype.append = function (...all) {
          const late = all.some((one) => one.src?.includes("LATE"));
          late ? setTimeout(() => append.apply(this, all), 800) : append.apply(this, all);
        }; }""".replace("LATE", path.stem)
    )
    page = opened.open(published, f"row.html#{ROW}")
    page.evaluate(f"location.hash = '#{path.stem}'")
    page.wait_for_timeout(100)
    page.go_back()
    page.wait_for_timeout(1200)
    assert page.locator("h1").inner_text() == "l1-filter, 40%"


def test_an_unknown_row_says_so(visit: Callable[..., Visit], published: Path) -> None:
    opened = visit()
    for address in ("row.html#no-such-row", "row.html", "row.html#../secret", "row.html#%"):
        page = opened.open(published, address)
        assert page.locator("h1").inner_text() == "No such row"
        assert page.get_by_role("link", name="The board").count() == 1
    assert all("ERR_FILE_NOT_FOUND" in problem for problem in opened.problems)
    opened.problems.clear()


def test_texts_of_records_are_shown_and_not_run(visit: Callable[..., Visit], nasty: Path) -> None:
    name = "p1-compressed-l1-filter-dense-0.4-None-s0"
    page = visit().open(nasty, f"row.html#{name}")
    page.wait_for_timeout(300)
    text = "<img src=x onerror=window.pwned=1>"
    assert page.locator("h1").inner_text() == f"l1-filter {text}, 40%"
    shown: Any = page.locator("#row").inner_text()
    assert f"Images are not shown, only maps: {text}" in shown
    assert f"predicted {text}, now not {text}" in shown
    assert page.locator("#row img[src=x]").count() == 0
    assert page.evaluate("window.pwned") is None


def test_the_board_shows_texts_of_records(visit: Callable[..., Visit], nasty: Path) -> None:
    page = visit().open(nasty, "index.html#rows=1000")
    page.fill("[name=q]", "onerror")
    page.get_by_text("without filters").wait_for()
    assert "l1-filter <img src=x onerror=window.pwned=1>" in page.locator("#board").inner_text()
    assert page.evaluate("window.pwned") is None
