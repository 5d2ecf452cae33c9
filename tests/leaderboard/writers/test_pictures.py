from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic import baseline, control, record, suite

from prunebench.errors import RequestError
from prunebench.leaderboard.board import board
from prunebench.leaderboard.writers.pictures import draw_progress, write_pictures
from prunebench.record import Heatmap, read_records


@pytest.mark.slow
def test_a_picture_is_drawn_from_records_alone(tmp_path: Path) -> None:
    out = draw_progress(suite(maps=True), "grad-cam", tmp_path / "new" / "a.png")
    with Image.open(out) as picture:
        assert picture.width == 1800
        pixels = np.asarray(picture.convert("RGB"), dtype=float)
    assert pixels.std() > 10
    again = draw_progress(list(reversed(suite(maps=True))), "grad-cam", tmp_path / "b.png")
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_labels_with_dollar_signs_are_text(tmp_path: Path) -> None:
    records = suite(["x$\\frac{$", "y"], levels=(0.3,), maps=True)
    assert draw_progress(records, "grad-cam", tmp_path / "a.png").is_file()


@pytest.mark.slow
def test_a_level_without_a_map_leaves_a_gap(tmp_path: Path) -> None:
    records = [*suite(["a"], levels=(0.3, 0.5), maps=True), record("a", 0.8)]
    assert draw_progress(records, "grad-cam", tmp_path / "a.png").is_file()


def test_a_method_without_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="did you mean 'grad-cam'"):
        draw_progress(suite(maps=True), "grad-cma", tmp_path / "a.png")


def test_an_unknown_pruner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="did you mean 'l1-filter'"):
        draw_progress(suite(maps=True), "grad-cam", tmp_path / "a.png", pruners=["l1-filer"])


def test_two_protocols_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="one protocol"):
        draw_progress([*suite(), *suite(protocol="p2")], "grad-cam", tmp_path / "a.png")


def test_a_heatmap_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    broken = (Heatmap(image=0, cam="grad-cam", png="bm8gcGljdHVyZQ=="),)
    records = [baseline(heatmaps=broken, id="base"), control(), record()]
    with pytest.raises(RequestError, match="base: heatmaps: not a picture"):
        draw_progress(records, "grad-cam", tmp_path / "a.png")


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["quantised", "none", "dense"])
def test_a_protocol_without_a_picture_takes_no_other_with_it(tmp_path: Path, axis: str) -> None:
    """What is not ranked makes no line, and a heatmap may be none."""
    whole = suite(levels=(0.4,), pruners=("l1-filter",), maps=True)
    maps = whole[0].heatmaps
    if axis == "dense":
        maps = (Heatmap(image=3, cam="grad-cam", png="bm8gcGljdHVyZQ=="),)
    common = {"protocol": "p2", "heatmaps": maps}
    others = [baseline(**common), control(**common), record("distillation", None, axis=axis)]
    others[2] = others[2].model_copy(update=common)
    drawn = write_pictures(board([*whole, *others]), tmp_path)
    assert [path.name for path in drawn] == ["quick.png"]


@pytest.mark.slow
def test_the_published_pictures_are_drawn_from_the_published_records(tmp_path: Path) -> None:
    published = Path(__file__).parent.parent.parent.parent / "leaderboard"
    drawn = write_pictures(board(read_records(published / "results")), tmp_path)
    assert {path.name for path in drawn} == {
        path.name for path in (published / "pictures").iterdir()
    }
    for path in drawn:
        fresh, there = (
            np.asarray(Image.open(each).convert("RGB"), dtype=float)
            for each in (path, published / "pictures" / path.name)
        )
        # Another version of the library may place a pixel otherwise, but draws the same picture.
        assert fresh.shape == there.shape, "run `make leaderboard`"
        assert np.abs(fresh - there).mean() < 0.3, "run `make leaderboard`"
