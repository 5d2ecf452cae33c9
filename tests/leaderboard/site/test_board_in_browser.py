from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from visiting import Visit

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.site.board.rows import BoardEntry, list_entries
from prunebench.leaderboard.site.links import name_row
from prunebench.record import Value, read_records

pytestmark = pytest.mark.slow

COLUMN = """(title) => {
  const heads = [...document.querySelectorAll("#board thead th")];
  const at = heads.findIndex((head) => head.textContent.trim() === title);
  const shown = (cell) => (cell.querySelector("[aria-hidden]") ?? cell.querySelector("span")
    ?.firstChild ?? cell).textContent;
  return [...document.querySelectorAll("#board tbody tr")].map((line) => shown(line.children[at]));
}"""
NAMES = """() => [...document.querySelectorAll("#board tbody th a")]
  .map((link) => decodeURIComponent(link.hash.slice(1)))"""


@pytest.fixture(scope="module")
def sections() -> tuple[Section, ...]:
    return board(read_records(REPOSITORY / "leaderboard" / "results"))


@pytest.fixture(scope="module")
def rows(sections: tuple[Section, ...]) -> list[BoardEntry]:
    return list(list_entries(sections))


def settled(page: Any) -> None:
    """Waits until the page has taken what was done before: its own timers are all shorter."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 250))")


def names(page: Any) -> list[str]:
    settled(page)
    return list(page.evaluate(NAMES))


def until(page: Any, done: Callable[[], bool]) -> None:
    """Waits a little, since what is typed is taken when there is a pause."""
    for _ in range(100):
        if done():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come")


def sort(page: Any, title: str) -> str:
    """Clicks a heading; returns the order that it tells."""
    found = head(page, title)
    before = found.get_attribute("aria-sort")
    found.click()
    until(page, lambda: found.get_attribute("aria-sort") != before)
    return str(found.get_attribute("aria-sort"))


def head(page: Any, title: str) -> Any:
    return page.locator("#board thead th").filter(has_text=title).first


def test_all_rows_are_there_in_the_boards_order(
    visit: Callable[..., Visit], published: Path, rows: list[BoardEntry]
) -> None:
    page = visit().open(published, "index.html#rows=1000")
    assert names(page) == [name_row(entry.row) for entry in rows]
    assert page.locator("#board-info").inner_text() == f"1 to {len(rows)} of {len(rows)} rows"
    assert page.locator("#board-info").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("title", ["Sp2PS grad-cam++", "Latency CPU b1 ratio", "Change"])
def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(
    title: str, visit: Callable[..., Visit], published: Path
) -> None:
    page = visit().open(published, "index.html#rows=1000")
    for _ in range(2):
        order = sort(page, title)
        shown = [text.strip() for text in page.evaluate(COLUMN, title)]
        there = [text for text in shown if text not in ("–", "")]
        assert len(there) > 5
        assert shown[: len(there)] == there
        numbers = [float(text.strip("×+").replace("−", "-")) for text in there]
        assert numbers == sorted(numbers, reverse=order == "descending")
        assert len(set(numbers)) > 1


def test_filters_leave_the_rows_that_python_would_choose(
    visit: Callable[..., Visit], published: Path, rows: list[BoardEntry]
) -> None:
    page = visit().open(published, "index.html#rows=1000")

    def expected(wanted: Callable[[BoardEntry], bool]) -> list[str]:
        found = [name_row(entry.row) for entry in rows if wanted(entry)]
        assert 0 < len(found) < len(rows)
        return found

    page.check("[name=pareto]")
    assert names(page) == expected(lambda entry: entry.pareto is True)
    page.click("button[type=reset]")
    page.select_option("[name=axis]", "masked")
    assert names(page) == expected(lambda entry: entry.row.first.axis == "masked")
    page.fill("[name=from]", "30")
    page.fill("[name=to]", "50")
    middle = expected(
        lambda entry: (
            entry.row.first.axis == "masked" and 0.3 <= (entry.row.first.level or 0) <= 0.5
        )
    )
    until(page, lambda: names(page) == middle)
    page.click("button[type=reset]")
    page.uncheck("[name=controls]")
    assert names(page) == expected(lambda entry: entry.row.first.role == "compressed")
    page.fill("[name=q]", "RESNET20 taylor")
    taylor = expected(
        lambda entry: "taylor" in entry.row.first.pruner and "resnet20" in entry.row.first.model
    )
    until(page, lambda: names(page) == taylor)
    page.fill("[name=q]", "no such pruner")
    page.get_by_text("No row passes these filters").wait_for()


def test_one_method_leaves_its_columns_and_rows(
    visit: Callable[..., Visit], published: Path
) -> None:
    page = visit().open(published, "index.html#rows=1000&columns=network,sp2ps,quality")
    page.select_option("[name=cam]", "eigen-cam")
    settled(page)
    titles = page.locator("#board thead th").all_inner_texts()
    of_maps = [title.strip() for title in titles if "cam" in title]
    assert "Sp2PS eigen-cam" in of_maps
    assert all("eigen-cam" in title for title in of_maps)
    assert 0 < len(names(page)) < 20


def test_the_address_holds_the_view_and_back_undoes_it(
    visit: Callable[..., Visit], published: Path
) -> None:
    opened = visit()
    page = opened.open(published, "index.html")
    page.select_option("[name=axis]", "dense")
    page.check("[name=columns][value=times]")
    sort(page, "Sp2PS grad-cam")
    seen, titles, address = names(page), page.locator("thead th").all_inner_texts(), page.url
    assert "axis=dense" in address
    assert "sort=value%2Fsp2ps" in address

    other = visit().open(published, "index.html#" + address.partition("#")[2])
    assert names(other) == seen
    assert other.locator("thead th").all_inner_texts() == titles
    assert other.input_value("[name=axis]") == "dense"
    assert head(other, "Sp2PS grad-cam").get_attribute("aria-sort") == "descending"

    page.go_back()
    assert names(page) != seen
    assert page.is_checked("[name=columns][value=times]")
    page.go_back()
    page.go_back()
    assert page.input_value("[name=axis]") == ""
    assert not page.is_checked("[name=columns][value=times]")
    page.go_forward()
    assert page.input_value("[name=axis]") == "dense"


@pytest.mark.parametrize(
    "address", ["#sort=nonsense:asc", "#page=99&rows=7", "#group=x&cam=%FF", "#%"]
)
def test_an_address_that_is_not_ours_does_no_harm(
    address: str, visit: Callable[..., Visit], published: Path
) -> None:
    page = visit().open(published, "index.html" + address)
    assert page.locator("#board tbody tr").count() > 0


def test_the_keyboard_is_enough(visit: Callable[..., Visit], published: Path) -> None:
    page = visit().open(published, "index.html#rows=25")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith("#rows=25")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name ?? ''"))
        heading = page.evaluate("document.activeElement.closest('th')?.textContent.trim()")
        if heading == "Level":
            break
    assert {"q", "group", "cam", "trusted", "columns"} <= reached
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    level = page.locator("#board thead th[aria-sort]", has_text="Level")
    page.keyboard.press("Enter")
    until(page, lambda: level.get_attribute("aria-sort") == "ascending")
    page.keyboard.press("Enter")
    until(page, lambda: level.get_attribute("aria-sort") == "descending")


def test_another_page_is_in_the_address_too(
    visit: Callable[..., Visit], published: Path, rows: list[BoardEntry]
) -> None:
    page = visit().open(published, "index.html#rows=25&page=3")
    third = [name_row(entry.row) for entry in rows[50:75]]
    assert names(page) == third
    page.locator(".turns .next").click()
    until(page, lambda: "page=4" in page.url)
    page.go_back()
    until(page, lambda: names(page) == third)


def test_the_link_is_copied(visit: Callable[..., Visit], published: Path) -> None:
    page = visit().open(published, "index.html#axis=dense")
    page.click("#copy")
    page.get_by_text("copied", exact=True).wait_for()


def test_the_first_part_is_shown_before_the_last_is_there(
    visit: Callable[..., Visit],
    tmp_path: Path,
    write: Callable[[list[Any], Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from synthetic import suite

    from prunebench.leaderboard.site.board import page as board_page

    monkeypatch.setattr(board_page, "ROWS_OF_PART", 10)
    site = write(suite(floors=True, protocol="a") + suite(protocol="b"), tmp_path / "site")
    assert len(list((site / "board").iterdir())) == 3
    (site / "board" / "part-002.js").rename(site / "kept")
    opened = visit()
    page = opened.page
    page.goto((site / "index.html").as_uri())
    page.get_by_text("part-002.js could not be loaded").wait_for()
    assert page.locator("#board-info").inner_text() == "1 to 20 of 20 rows"
    assert any("ERR_FILE_NOT_FOUND" in problem for problem in opened.problems)
    opened.problems.clear()
    (site / "kept").rename(site / "board" / "part-002.js")
    page = opened.open(site, "index.html")
    assert page.locator("#board tbody tr").count() == 29


def test_a_value_may_have_the_name_of_a_column(
    visit: Callable[..., Visit], tmp_path: Path, write: Callable[[list[Any], Path], Path]
) -> None:
    from worlds import world

    taken = ("group", "pareto", "role", "plugin", "pruner", "rank", "level", "axis", "__proto__")
    of_cams = ("trusted/grad-cam", "rescaled/grad-cam")
    more = {name: Value(mean=0.25) for name in (*taken, *of_cams)}
    records = world({"good": 0.97, "bad": 0.6})
    spoilt = [one.model_copy(update={"values": {**one.values, **more}}) for one in records]
    plain = visit().open(write(records, tmp_path / "plain"), "index.html#rows=1000")
    columns = "columns=network,verdict,accuracy,compression,cost,quality,rescaled&rows=1000"
    page = visit().open(write(spoilt, tmp_path / "spoilt"), f"index.html#{columns}")
    assert names(page) == names(plain)
    for title in ("Pruner", "Data · model · protocol", "Rank", "Axis", "Pareto"):
        assert page.evaluate(COLUMN, title) == plain.evaluate(COLUMN, title)
    page.check("[name=pareto]")
    plain.check("[name=pareto]")
    assert 0 < len(names(page)) < len(records)
    assert names(page) == names(plain)


def test_no_records_make_an_empty_board(
    visit: Callable[..., Visit], tmp_path: Path, write: Callable[[list[Any], Path], Path]
) -> None:
    page = visit().open(write([], tmp_path / "site"), "index.html")
    page.get_by_text("No records yet").wait_for()
