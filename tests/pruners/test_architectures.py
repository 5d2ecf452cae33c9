"""What structured pruning reaches in published architectures, as the page of the docs says."""

from __future__ import annotations

from pathlib import Path

import pytest
from write_pruning_matrix import ARCHITECTURES, CELLS, NEAR, PAGE, measure, read_cells, write_page
from write_pruning_matrix import Cell as Asked

ROOT = Path(__file__).parents[2]
TOLD = read_cells(ROOT / CELLS)


def check(asked: Asked) -> None:
    told = TOLD[asked].reached
    assert measure(asked).reached == (told if told is None else pytest.approx(told, abs=1e-3))


def test_the_page_shows_what_was_measured() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page == "\n".join(write_page(TOLD)).rstrip() + "\n"


def test_every_level_is_reached_or_refused() -> None:
    told = {cell: each for cell, each in TOLD.items() if each.reached is not None}
    assert told
    assert not {cell for cell, each in told.items() if abs(each.reached - cell.level) > NEAR}


@pytest.mark.parametrize(
    ("method", "target"), [("l1-filter", "params"), ("l1-filter", "macs"), ("taylor", "params")]
)
def test_a_small_network_loses_what_the_page_says(method: str, target: str) -> None:
    check(Asked("timm/regnetx_002", method, target, 0.3))


@pytest.mark.sweep
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_lose_what_the_page_says(architecture: str) -> None:
    check(Asked(architecture, "l1-filter", "params", 0.3))
