from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from synthetic import baseline, control, floor, record, suite

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.board.rescaling import Rescaled, rescale_estimate
from prunebench.leaderboard.board.rows import Estimate
from prunebench.leaderboard.publish import write_board
from prunebench.leaderboard.writers.markdown import to_markdown
from prunebench.record import Record, Value, read_record

SP2PS = "sp2ps/grad-cam"
SCORES = st.floats(-1, 1)


def scale(value: float, reference: float, lowest: float) -> float:
    found = rescale_estimate(Estimate(value), Estimate(reference), Estimate(lowest))
    assert found.value is not None
    return found.value


def of(section: Section, pruner: str, name: str = SP2PS) -> Rescaled:
    row = next(row for row in section.rows if row.first.pruner == pruner)
    return section.rescaled(row, name)


@given(SCORES, SCORES, SCORES, SCORES, st.floats(0, 1))
def test_it_is_the_line_through_the_controls(
    first: float, second: float, reference: float, lowest: float, share: float
) -> None:
    assume(reference - lowest >= 0.1)
    assert scale(reference, reference, lowest) == 1
    assert scale(lowest, reference, lowest) == 0
    mixed = share * first + (1 - share) * second
    line = share * scale(first, reference, lowest) + (1 - share) * scale(second, reference, lowest)
    assert scale(mixed, reference, lowest) == pytest.approx(line, abs=1e-9)
    if first < second - 1e-9:
        assert scale(first, reference, lowest) < scale(second, reference, lowest)


def test_it_is_not_clipped() -> None:
    assert scale(1.0, 0.9, 0.4) == pytest.approx(1.2)
    assert scale(0.3, 0.9, 0.4) == pytest.approx(-0.2)


@given(SCORES, SCORES, st.floats(-0.099, 0.099))
def test_controls_closer_than_a_tenth_give_no_value(
    value: float, reference: float, apart: float
) -> None:
    found = rescale_estimate(Estimate(value), Estimate(reference), Estimate(reference - apart))
    assert found.value is None
    assert "closer than 0.1" in (found.reason or "")


@pytest.mark.parametrize("reference", [0.95, 0.3, 0.7])
def test_exactly_a_tenth_is_enough(reference: float) -> None:
    assert scale(reference, reference, reference - 0.1) == 1


def test_random_weights_above_the_control_turn_no_scale_around() -> None:
    found = rescale_estimate(Estimate(0.5), Estimate(0.4), Estimate(0.8))
    assert found == Rescaled(None, "not rescaled: `none` (0.400) is below random weights (0.800)")


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([floor()], "no `none` control"),
        ([control()], "no maps under random weights"),
        ([control(seeds=(0, 1)), floor()], "`none` has 1 of 2 seeds"),
        ([control(), floor(seeds=(0, 1, 2))], "random weights have 1 of 3 seeds"),
        ([control({"grad-cam": None}), floor()], "`none` control has no value: both maps are zero"),
        ([control(), floor({"grad-cam": None})], "weights have no value: both maps are zero"),
        ([control(), floor({"ablation-cam": 0.2})], "weights have no value: not measured"),
        ([control(0.25), floor(0.2)], r"`none` \(0.250\) is closer than 0.1 to random weights"),
    ],
)
def test_where_there_is_no_value_it_says_why(records: list[Record], reason: str) -> None:
    (section,) = board([baseline(), *records, record("a")])
    found = of(section, "a")
    assert found.value is None
    assert re.search(reason, found.reason or "")


def test_a_row_that_lacks_a_value_or_a_seed_has_none() -> None:
    lacking = record("a", sp2ps={"grad-cam": None})
    partial = record("b", seeds=(0, 1))
    (section,) = board([baseline(), control(), floor(), lacking, partial])
    assert of(section, "a") == Rescaled(None, "both maps are zero")
    assert of(section, "b") == Rescaled(None, "not rescaled: it has 1 of 2 seeds")


def test_it_is_of_the_means_over_seeds() -> None:
    records = []
    for seed, (top, bottom, middle) in enumerate([(1.0, 0.2, 0.5), (0.8, 0.0, 0.7)]):
        common: Any = {"seed": seed, "seeds": (0, 1)}
        records += [control(top, **common), floor(bottom, **common)]
        records += [record("a", sp2ps=middle, **common)]
    (section,) = board(records)
    assert of(section, "a").value == pytest.approx((0.6 - 0.1) / (0.9 - 0.1))


def test_only_values_that_are_best_at_one_are_rescaled() -> None:
    def both(mean: float) -> dict[str, Value]:
        names = ("ssim", "js_divergence", "centre_distance", "ssim_negative_share", "pearson")
        return {f"{name}/grad-cam": Value(mean=mean) for name in names}

    alone = {"iou/grad-cam": Value(mean=0.9)}
    (section,) = board([control(values=both(0.9) | alone), floor(values=both(0.1)), record()])
    assert section.rescalable == ("pearson/grad-cam", SP2PS, "ssim/grad-cam")
    assert of(section, "none", "pearson/grad-cam").value == 1


def rescaled_cells(text: str, pruner: str) -> list[str]:
    """The cells of the column in the lines of one pruner."""
    tables = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    column = next(
        (place for place, title in enumerate(tables[0]) if "Rescaled Sp2PS" in title), None
    )
    assert column is not None
    return [line[column].strip() for line in tables if pruner in line[1] and column < len(line)]


def test_the_board_shows_it_for_every_method() -> None:
    text = to_markdown(board(suite(["l1-filter"], floors=True)))
    # In order: `none` 0.96, 0.97, 0.98; random weights 0.19, 0.21, 0.23.
    assert rescaled_cells(text, "none") == ["1.000 · 1.000 · 1.000"]
    assert rescaled_cells(text, "random weights") == ["0.000 · 0.000 · 0.000"]
    assert rescaled_cells(text, "baseline") == ["1.052 · 1.039 · 1.027"]
    first = rescaled_cells(text, "l1-filter")[0].split(" · ")
    assert len(first) == 3
    assert all(0.8 < float(cell) < 1.1 for cell in first)


def test_methods_without_a_scale_say_so_one_by_one() -> None:
    cams = {"ablation-cam": 0.9, "grad-cam": 0.9}
    near = {"ablation-cam": 0.2, "grad-cam": 0.85}
    text = to_markdown(
        board([baseline(sp2ps=cams), control(cams), floor(near), record(sp2ps=cams)])
    )
    assert rescaled_cells(text, "l1-filter") == ["1.000 · –<sup>1</sup>"]
    assert "(0.900) is closer than 0.1 to random weights (0.850)" in text


def test_boards_without_a_floor_say_why_once() -> None:
    text = to_markdown(board(suite(["l1-filter"])))
    assert set(rescaled_cells(text, "l1-filter")) == {"–<sup>1</sup>"}
    assert text.count("not rescaled: no maps under random weights were measured") == 1
    old = read_record(Path(__file__).parent.parent / "fixtures" / "schema-1.json")
    assert "there is no &#96;none&#96; control" in to_markdown(board([old]))


def test_the_board_as_json_holds_values_and_reasons(tmp_path: Path) -> None:
    records = suite(["l1-filter"], floors=True)
    for name, given_records in (("with", records), ("without", suite(["l1-filter"]))):
        write_board(board(given_records), tmp_path / name)

    def row(name: str, role: str) -> dict[str, Any]:
        content = json.loads((tmp_path / name / "board.json").read_text(encoding="utf-8"))
        (section,) = content["sections"]
        return next(found for found in section["rows"] if found["role"] == role)

    found = row("with", "compressed")["rescaled"]
    assert sorted(found) == [
        "pe_score/grad-cam",
        "sp2ps/ablation-cam",
        SP2PS,
        "sp2ps/grad-cam++",
    ]
    value = row("with", "compressed")["values"][SP2PS]["mean"]
    assert found[SP2PS]["value"] == pytest.approx((value - 0.21) / (0.97 - 0.21))
    assert row("with", "floor")["rescaled"][SP2PS] == {"value": 0.0}
    missing = row("without", "compressed")["rescaled"]
    assert sorted(missing) == ["sp2ps/ablation-cam", SP2PS, "sp2ps/grad-cam++"]
    assert all(cell["value"] is None and cell["reason"] for cell in missing.values())
