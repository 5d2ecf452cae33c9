"""A work's figures of heatmaps drawn again: on the page, and in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import COLOUR, GREY, KEPT, experiment, measured
from synthetic import png
from visiting import Visit

from prunebench.leaderboard.board import board
from prunebench.leaderboard.papers.regenerated import regenerate
from prunebench.leaderboard.site.papers import heatmaps as papers_heatmaps
from prunebench.leaderboard.site.papers import page as papers_page
from prunebench.leaderboard.site.papers.heatmaps import DrawnHeatmaps, draw_heatmaps
from prunebench.record import Heatmap, Record

CIFAR = {"dataset": "parquet(path=cifar10-jpeg)", "model": "resnet20"}
METHODS = ("l1-unstructured", "random-unstructured")


def drawn(records: list[Record], **changes: Any) -> DrawnHeatmaps:
    (found,) = regenerate(experiment(**changes), board(records))
    maps = draw_heatmaps(found)
    assert maps is not None
    return maps


def cifar(**fields: Any) -> list[Record]:
    """Records that draw figures of a card in the registry."""
    levels = fields.pop("levels", (0.2, 0.4))
    return measured(levels, METHODS, changed=CIFAR, suite="papers-sp2ps-cifar10-small", **fields)


def page_of(records: list[Record], folder: Path) -> str:
    papers_page.write(board(records), folder)
    return (folder / "papers.html").read_text(encoding="utf-8")


def test_a_figure_has_the_image_the_baseline_and_a_line_a_method() -> None:
    maps = drawn(measured())
    assert list(maps.images) == [3, 7]
    for image, grids in maps.images.items():
        assert [(grid.title, grid.cam) for grid in grids] == [
            ("Figure 3", "grad-cam"),
            ("Figure 4", "grad-cam++"),
        ]
        for grid in grids:
            assert grid.photo == COLOUR
            assert grid.levels == ("20%", "40%", "60%")
            assert grid.baseline is not None
            assert grid.baseline.sp2ps == ""
            assert [line.method for line in grid.lines] == ["l1-filter", "random-filter"]
            first = grid.lines[0].tiles[0]
            assert first is not None
            assert first.png == GREY
            assert first.alt == (
                f"{grid.cam} of l1-filter, 20%, test image {image}: mean Sp2PS 0.860"
            )


def test_a_level_that_one_method_lacks_leaves_its_place_empty() -> None:
    records = [one for one in measured() if (one.pruner, one.level) != ("random-filter", 0.4)]
    grid = drawn(records).images[3][0]
    assert [tile is None for tile in grid.lines[1].tiles] == [False, True, False]


def test_all_maps_are_of_a_seed_that_all_networks_have() -> None:
    other = png(np.full((4, 4), 0.25))
    records = []
    for seed, picture in ((0, GREY), (1, other)):
        kept = tuple(heat.model_copy(update={"png": picture}) for heat in KEPT if heat.cam)
        found = measured((0.2, 0.4), heatmaps=kept, seed=seed, seeds=(0, 1))
        records += [r.model_copy(update={"id": f"{r.id}-s{seed}"}) for r in found]
    assert "Maps are of seed 0." in drawn(records).caption
    left = [one for one in records if (one.pruner, one.level, one.seed) != ("l1-filter", 0.4, 0)]
    maps = drawn(left)
    assert "Maps are of seed 1. Of 1 of 5 rows not all seeds were measured." in maps.caption
    shown = {tile.png for line in maps.images[3][0].lines for tile in line.tiles if tile}
    assert shown == {other}


def test_images_that_may_not_be_shown_are_not() -> None:
    records = measured()
    records[-1] = records[-1].model_copy(update={"pictures_withheld": "no licence"})
    maps = drawn(records)
    assert all(grid.photo is None for grids in maps.images.values() for grid in grids)
    assert "Images are not shown: no licence." in maps.caption


def test_of_many_images_those_with_most_maps_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers_heatmaps, "MOST_IMAGES", 1)
    records = measured(heatmaps=KEPT[:3])  # image 7
    other = (Heatmap(image=1, cam="grad-cam", png=GREY),)
    records[-1] = records[-1].model_copy(update={"heatmaps": other})
    maps = drawn(records)
    assert list(maps.images) == [7]
    last = maps.images[7][0].lines[1].tiles[2]
    assert last is not None
    assert last.png is None  # it keeps no map of this image


def test_the_page_shows_them_without_a_script(tmp_path: Path) -> None:
    page = page_of(cifar(), tmp_path)
    assert page.count('<img class="heat"') == 2 * 2 * (1 + 2 * 2)  # images, methods, networks
    assert page.count('<img class="photo"') == 2 * 2
    for tag in re.findall(r"<img[^>]*>", page):
        assert re.search(r'src="data:image/png;base64,[\w+/=]+" alt="[^"]+"', tag)
    assert 'suite papers-sp2ps-cifar10-small</a>\n<span class="badge">similar</span>' in page
    assert "Nothing of ours draws" not in page
    assert "Not run yet: benchmarks/papers/sp2ps-stl10.yaml." in page


def test_what_nothing_of_ours_draws_is_said(tmp_path: Path) -> None:
    page = page_of([one for one in cifar(heatmaps=()) if one.pruner != METHODS[1]], tmp_path)
    said = "Nothing of ours draws figure 11, figure 4, figure 5, figure 6: not run yet"
    assert f"{said}: benchmarks/papers/sp2ps-cifar10.yaml." in page


def test_pictures_and_names_of_records_cannot_be_markup(tmp_path: Path) -> None:
    nasty = '"><script>window.pwned=1</script><img src=x onerror=alert(1)>'
    kept = tuple(Heatmap(image=7, cam=cam, png=f"{GREY[:8]}{nasty}") for cam in (None, "grad-cam"))
    records = [
        one.model_copy(update={"pictures_withheld": None, "suite": one.suite, "pruner": nasty})
        if one.role == "compressed"
        else one
        for one in cifar(heatmaps=kept, levels=(0.2,))
    ]
    page = page_of(records, tmp_path)
    assert "onerror" in page
    assert "<script>window" not in page
    assert "<img src" not in page


@pytest.fixture(scope="module")
def site(write: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images; one map is damaged."""
    records = cifar()
    spoilt = tuple(
        heat.model_copy(update={"png": "AAAA"})
        if (heat.image, heat.cam) == (3, "grad-cam")
        else heat
        for heat in KEPT
    )
    records[-1] = records[-1].model_copy(update={"heatmaps": spoilt})
    return write(records, tmp_path_factory.mktemp("papers") / "site")


@pytest.mark.slow
def test_maps_are_coloured_over_their_image_and_one_image_is_chosen(
    visit: Callable[..., Visit], site: Path
) -> None:
    page = visit(width=380).open(site, "papers.html")
    shown = page.locator(".again [data-image]:visible")
    page.wait_for_selector(".again canvas")
    assert shown.count() == 1
    assert shown.get_attribute("data-image") == "3"
    page.wait_for_function("!document.querySelector('.again [data-image]:not([hidden]) img.heat')")
    assert shown.locator("canvas").count() == 2 * 5 - 1
    assert shown.locator(".nothing").inner_text().startswith("damaged: grad-cam of random-")
    name = shown.locator("canvas").first.get_attribute("aria-label")
    assert name == "grad-cam of the baseline, test image 3"
    page.select_option(".again select", "7")
    page.wait_for_function("!document.querySelector('.again [data-image]:not([hidden]) img.heat')")
    assert shown.get_attribute("data-image") == "7"
    assert shown.locator("canvas").count() == 2 * 5
    colours = page.evaluate(
        """() => { const c = document.querySelector('[data-image="7"] canvas');
        const d = c.getContext('2d').getImageData(0, 0, 1, 1).data;
        return new Set(d.slice(0, 3)).size; }"""
    )
    assert colours > 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
