from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import baseline, control, png, record, suite
from test_pruner_pages import NASTY, Page
from visiting import Visit

from prunebench.leaderboard.board import board
from prunebench.leaderboard.site import gallery as gallery_page
from prunebench.leaderboard.site.links import link_row, name_section
from prunebench.record import Heatmap, Record

GREY, COLOUR = png(np.full((4, 4), 0.5)), png(np.full((4, 4, 3), 0.5))


def contents(records: list[Record]) -> dict[str, Any]:
    (section,) = board(records)
    found = gallery_page.make_contents(section)
    assert found is not None
    return found


def called(path: Path) -> dict[str, Any]:
    """What a data file gives to the gallery's script."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("Gallery.show(")
    found: dict[str, Any] = json.loads(text.removeprefix("Gallery.show(").rstrip(");\n"))
    return found


def one_map(**fields: Any) -> list[Record]:
    kept = (Heatmap(image=7, cam="grad-cam", png=GREY),)
    return [
        baseline(heatmaps=kept, **fields),
        control(heatmaps=kept, **fields),
        record(heatmaps=kept, **fields),
    ]


def test_a_group_s_maps_are_in_a_file_of_its_own(tmp_path: Path) -> None:
    sections = board([*suite(maps=True), *suite(protocol="p2", maps=True)])
    gallery_page.write(sections, tmp_path)
    page = Page(tmp_path / "gallery.html")
    assert page.tags.count("option") == 2
    for section in sections:
        data = called(tmp_path / "gallery" / f"{name_section(section)}.js")
        assert data["name"] == name_section(section)
        assert len(data["rows"]) == 12


def test_maps_come_with_their_numbers_and_lead_to_their_rows() -> None:
    records = suite(maps=True, floors=True)
    data = contents(records)
    assert [row["pruner"] for row in data["references"]] == ["baseline", "none", "random weights"]
    assert data["cams"][0] == "grad-cam"
    assert set(data["photos"]) == set(data["images"]) == {"3"}
    (section,) = board(records)
    rows = {link_row(row): row for row in section.rows}
    for shown in data["rows"]:
        row = rows[shown["link"]]
        assert shown["accuracy"] == pytest.approx(row.get("accuracy").mean, abs=1e-4)
        assert shown["sp2ps"]["grad-cam"] == pytest.approx(row.get("sp2ps/grad-cam").mean, abs=1e-3)
        kept = {f"{h.image} {h.cam}": h.png for h in row.first.heatmaps if h.cam}
        assert shown["maps"] == kept


def test_pruners_come_as_ranked_and_their_levels_by_compression() -> None:
    data = contents(suite(("worst-filter", "best-filter")[::-1], maps=True))
    order = list(dict.fromkeys(row["pruner"] for row in data["rows"]))
    assert order == ["best-filter", "worst-filter"]
    at = [row["at"] for row in data["rows"] if row["pruner"] == "best-filter"]
    assert at == sorted(at)


def test_images_that_may_not_be_shown_are_not_in_the_data() -> None:
    kept = (Heatmap(image=7, cam=None, png=COLOUR), Heatmap(image=7, cam="grad-cam", png=GREY))
    records = [*one_map(), record("other", heatmaps=kept, pictures_withheld="no licence")]
    data = contents(records)
    assert data["withheld"] == "no licence"
    assert data["photos"] == {}
    assert data["images"] == ["7"]


def test_maps_without_an_image_are_shown_alone() -> None:
    data = contents(one_map())
    assert data["photos"] == {}
    assert data["withheld"] is None
    assert data["rows"][0]["maps"] == {"7 grad-cam": GREY}


def test_without_maps_there_is_no_data_and_the_page_says_so(tmp_path: Path) -> None:
    (section,) = board(suite())
    assert gallery_page.make_contents(section) is None
    for sections in ([], [section]):
        gallery_page.write(sections, tmp_path)
        assert "No record keeps a heatmap yet" in Page(tmp_path / "gallery.html").text
        assert not (tmp_path / "gallery").exists()


def test_large_groups_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_page, "MOST_ROWS", 5)
    data = contents(suite(maps=True))
    assert len(data["rows"]) == 5
    assert data["left"] == 7


def test_text_of_records_cannot_end_the_script(tmp_path: Path) -> None:
    kept = (Heatmap(image=7, cam=NASTY, png=NASTY),)
    records = [baseline(heatmaps=kept), record(NASTY, id="r", heatmaps=kept)]
    gallery_page.write(board(records), tmp_path)
    (path,) = (tmp_path / "gallery").glob("*.js")
    text = path.read_text(encoding="utf-8")
    assert "</script" not in text
    assert "\u2028" not in text
    assert "onerror" in called(path)["cams"][0]


def test_a_level_that_means_nothing_stands_where_its_compression_is() -> None:
    kept = (Heatmap(image=7, cam="grad-cam", png=GREY),)
    data = contents([*one_map(), record("once", None, reached=0.37, heatmaps=kept)])
    (row,) = [row for row in data["rows"] if row["pruner"] == "once"]
    assert row["at"] == 0.37


@pytest.fixture(scope="module")
def shown(write: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of two groups; in the second, images may not be shown."""
    withheld = [
        record.model_copy(update={"pictures_withheld": "no licence"})
        for record in suite(("l1-filter",), protocol="p2", maps=True)
    ]
    records = [*suite(maps=True, floors=True), *withheld]
    return write(records, tmp_path_factory.mktemp("gallery") / "site")


def tiles(page: Any) -> int:
    page.wait_for_selector("table.gallery")
    return int(page.locator(".tile").count())


@pytest.mark.slow
def test_the_gallery_draws_every_map_and_names_it(visit: Callable[..., Visit], shown: Path) -> None:
    page = visit().open(shown, "gallery.html")
    assert tiles(page) == 3 * (3 + 4)  # pruners by references and levels
    page.wait_for_function("[...document.querySelectorAll('.tile canvas')].every(c => c.width > 0)")
    heads = page.locator("table.gallery thead th").all_inner_texts()
    assert heads[:5] == ["Pruner", "image", "baseline", "none", "random weights"]
    assert heads[5:] == ["20%", "40%", "60%", "80%"]
    name = page.locator(".tile [role=img]").last.get_attribute("aria-label")
    assert name.startswith("grad-cam of random-filter 80%, image 3: Sp2PS 0.")
    assert "accuracy" in name
    colours = page.evaluate(
        """() => { const c = document.querySelector('.tile canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return [...d].filter((v, i) => i % 4 < 3 && d[i - (i % 4)] !== v).length; }"""
    )
    assert colours > 0  # grey became colour


def test_choices_are_in_the_address_and_come_back(visit: Callable[..., Visit], shown: Path) -> None:
    page = visit().open(shown, "gallery.html")
    tiles(page)
    page.select_option("[name=cam]", "all")
    assert tiles(page) == 3 * 3 * (3 + 4)
    page.locator("details.pruners summary").click()
    page.locator("#pruners input").first.uncheck()
    assert tiles(page) == 2 * 3 * (3 + 4)
    address = page.url
    again = visit().open(shown, "gallery.html#" + address.partition("#")[2])
    assert tiles(again) == 2 * 3 * (3 + 4)
    page.go_back()
    assert tiles(page) == 3 * 3 * (3 + 4)
    page.go_back()
    assert tiles(page) == 3 * (3 + 4)
    page.select_option("[name=group]", "digits-cnn-p2")
    withheld = page.locator("#state", has_text="no licence")
    withheld.wait_for()
    page.go_back()
    withheld.wait_for(state="detached")
    assert page.input_value("[name=group]") == "digits-cnn-p1"
    assert tiles(page) == 3 * (3 + 4)


def test_opacity_by_keyboard(visit: Callable[..., Visit], shown: Path) -> None:
    page = visit().open(shown, "gallery.html")
    tiles(page)
    page.locator("[name=opacity]").focus()
    page.keyboard.press("Home")
    opacity = "getComputedStyle(document.querySelector('canvas.over')).opacity"
    assert page.evaluate(opacity) == "0"
    assert "opacity=0" in page.url
    page.keyboard.press("ArrowRight")
    assert page.evaluate(opacity) == "0.05"


def test_withheld_images_are_said_and_not_shown(visit: Callable[..., Visit], shown: Path) -> None:
    page = visit(width=390).open(shown, "gallery.html#group=digits-cnn-p2")
    tiles(page)
    assert "Images are not shown: no licence" in page.locator("#state").inner_text()
    assert page.locator("table.gallery img").count() == 0
    assert page.locator("canvas.alone").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_address_that_asks_for_nothing_known_still_shows_maps(
    visit: Callable[..., Visit], shown: Path
) -> None:
    page = visit().open(shown, "gallery.html#group=x&cam=y&image=z&opacity=abc&pruner=nobody")
    assert tiles(page) == 3  # the references alone
    assert page.locator("#chosen").inner_text() == "0 of 3"
