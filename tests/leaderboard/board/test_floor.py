"""Random weights stand in the tables; scores start from them, and nothing else reads them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from publishable import publishable
from rich.console import Console
from synthetic import baseline, control, floor, suite

from prunebench.errors import RequestError
from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.rows import group_records
from prunebench.leaderboard.publish import submit, write_board
from prunebench.leaderboard.writers.cells import explain_latency, format_verdicts
from prunebench.leaderboard.writers.markdown import to_markdown
from prunebench.leaderboard.writers.pictures import draw_progress, write_pictures
from prunebench.leaderboard.writers.readme import make_sample
from prunebench.leaderboard.writers.terminal import to_terminal

SEEDS = (0, 1, 2)


def terminal(width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_terminal(board(suite(floors=True))))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_it_has_no_place_and_changes_no_horizon() -> None:
    (without,) = board(suite(seeds=SEEDS))
    (beside,) = board(suite(seeds=SEEDS, floors=True))
    assert beside.floor is not None
    assert beside.horizons == without.horizons
    named = {place.pruner for ranking in beside.rankings.values() for place in ranking.places}
    assert "random-weights" not in named


def test_even_the_best_floor_has_neither_place_nor_verdict() -> None:
    (section,) = board([*suite(), floor({"grad-cam": 1.0, "ablation-cam": 1.0})])
    row = section.floor
    assert row is not None
    assert format_verdicts(row, section.cams) == "– · –"
    assert explain_latency(row, "latency_cpu_b1") is None
    places = [place for found, place in section.table("dense") if found is row]
    assert places == [None]


@pytest.mark.parametrize("axis", ["dense", "masked"])
def test_it_stands_after_the_control(axis: str) -> None:
    (section,) = board(suite(floors=True))
    roles = [row.first.role for row, _ in section.table(axis)]
    assert roles[:4] == ["baseline", "control", "floor", "compressed"]
    assert roles.count("floor") == 1


def test_seeds_make_one_row() -> None:
    (rows,) = group_records(suite(seeds=SEEDS, floors=True))
    (row,) = [row for row in rows if row.first.role == "floor"]
    assert row.seeds == "3"
    assert row.get("sp2ps/grad-cam").mean == pytest.approx(0.213)
    assert row.get("sp2ps/grad-cam").interval == "t-interval over 3 seeds"


def test_what_was_not_measured_is_a_dash() -> None:
    line = next(
        line
        for line in to_markdown(board(suite(floors=True))).splitlines()
        if "random weights*" in line
    )
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    name, level, seeds, accuracy, change, params, macs, _images, latency, *_ = cells
    assert (name, level, seeds) == ("*random weights*", "", "1 <sub>preliminary</sub>")
    assert {accuracy, change, params, macs, latency} == {"–"}
    assert cells[9].startswith("0.190 <sub>")
    assert cells[-1] == "– · –"


def test_the_terminal_shows_it_within_80_columns() -> None:
    lines = terminal(80)
    first = next(index for index, line in enumerate(lines) if line.split()[:1] == ["none°"])
    assert lines[first + 1].split()[:3] == ["random", "weights°", "–"]
    assert "0.210" in lines[first + 1]
    assert lines[first + 1].rstrip() in [line.rstrip() for line in terminal(200)]  # nothing cut


@pytest.mark.slow
def test_the_readme_is_as_without_it_and_the_picture_shows_it(tmp_path: Path) -> None:
    with_floor, without = suite(maps=True, floors=True), suite(maps=True)
    assert make_sample(board(with_floor)) == make_sample(board(without))
    pictures = [
        draw_progress(records, "grad-cam", tmp_path / f"{number}.png").read_bytes()
        for number, records in enumerate((with_floor, without))
    ]
    assert pictures[0] != pictures[1]


def test_it_is_no_pruner_to_the_sample() -> None:
    # Two protocols with as many pruners: the floor must not tip the choice to the second.
    first, second = suite(["a"]), suite(["a"], protocol="p2", floors=True)
    assert "protocol p1" in make_sample(board([*first, *second]))


def test_a_floor_alone_makes_no_picture(tmp_path: Path) -> None:
    records = [baseline(), control(), floor()]
    assert write_pictures(board(records), tmp_path) == []
    with pytest.raises(RequestError, match="no compressed network"):
        draw_progress(records, "grad-cam", tmp_path / "a.png")


FLOOR = {
    "pruner": "random-weights",
    "pruner_name": "random-weights",
    "role": "floor",
    "axis": "none",
}


def test_it_is_published_like_any_record(tmp_path: Path) -> None:
    found = publishable(None, **FLOOR)
    source = tmp_path / "floor.json"
    source.write_text(found.to_json(), encoding="utf-8")
    assert [path.stem for path in submit([source], tmp_path / "results")] == [found.id]
    write_board(board(suite(floors=True)), tmp_path)
    (section,) = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))["sections"]
    assert [row["role"] for row in section["rows"][:3]] == ["baseline", "control", "floor"]
    row = section["rows"][2]
    assert row["accuracy_drop"] is None
    assert set(row["trusted"].values()) == {None}
