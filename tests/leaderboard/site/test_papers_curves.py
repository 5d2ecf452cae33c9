"""A work's figure of curves drawn again: what plotly.js draws, the words, and the table."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from drawing import experiment, measured
from synthetic import floor, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.papers.regenerated import regenerate
from prunebench.leaderboard.site.papers.curves import DrawnCurves, draw_curves
from prunebench.record import Record


def drawn(records: list[Record], **changes: Any) -> list[DrawnCurves]:
    one = experiment(**changes)
    (found,) = regenerate(one, board(records))
    return list(draw_curves(one, found))


def test_values_stand_over_the_level_from_the_control_on() -> None:
    first, second = drawn(measured())
    assert [one.title for one in (first, second)] == [
        "Figure 1: l1-filter",
        "Figure 2: random-filter",
    ]
    accuracy, maps = first.figure["data"]
    assert accuracy["name"] == "accuracy"
    assert accuracy["x"] == maps["x"] == [0, 20, 40, 60]
    assert accuracy["y"] == pytest.approx([0.92, 0.90, 0.88, 0.86])
    assert maps["y"] == pytest.approx([1.0, 0.86, 0.82, 0.78])
    assert maps["error_y"]["arrayminus"][1:] == pytest.approx([0.01] * 3)
    assert {trace["mode"] for trace in first.figure["data"]} == {"lines+markers"}
    assert "The start is the none control, trained as long as the others." in first.caption
    assert "95% confidence intervals (images only: bootstrap over images)" in first.caption
    (low, high) = first.figure["layout"]["yaxis"]["range"]
    assert low < 0 < 1 < high < 1.1


def test_controls_are_bands_beside_the_curves() -> None:
    common = {"conditions": measured()[0].conditions, "suite_excerpt": {}}
    beside = [floor(0.2, **common), record("twin", None, role="twin", axis="none", **common)]
    first, _ = drawn([*measured(), *beside])
    lines = {unescape(trace["name"]): trace["y"] for trace in first.figure["data"]}
    assert lines["random weights, Sp2PS"] == [0.2, 0.2]
    assert lines["twin: another seed's baseline, Sp2PS"] == [0.9, 0.9]
    assert "random weights, accuracy" not in lines
    assert not any("none" in name for name in lines)  # the curves start there
    bands = [(band["y0"], band["y1"]) for band in first.figure["layout"]["shapes"]]
    assert (0.19, 0.21) in bands
    assert "random weights, Sp2PS 0.200" in first.alt
    assert len(first.lines) == 4


def test_words_and_table_have_the_numbers() -> None:
    first, _ = drawn(measured())
    assert "accuracy 0.920 at 0.0%, 0.860 at 60.0%" in first.alt
    assert "Sp2PS 1.000 at 0.0%, 0.780 at 60.0%" in first.alt
    assert first.headings == ("rate (%)", "accuracy", "Sp2PS")
    assert len(first.lines) == 4
    assert first.lines[1].label == "digits-cnn, l1-filter, 20%"
    assert first.lines[1].cells == (
        ("20.0%", ""),
        ("0.900", "[0.880, 0.920]"),
        ("0.860", "[0.850, 0.870]"),
    )


def test_a_single_level_is_points_and_no_line() -> None:
    first, _ = drawn(measured(levels=(0.6,)))
    assert {trace["mode"] for trace in first.figure["data"]} == {"markers"}
    assert first.figure["data"][0]["x"] == [0, 60]
    assert "A single level was measured: points, no curve." in first.caption


def test_without_a_control_the_curves_start_at_the_baseline_and_say_so() -> None:
    first, _ = drawn([one for one in measured() if one.role != "control"])
    assert first.figure["data"][0]["y"][0] == pytest.approx(0.93)
    assert "The start is the baseline." in first.caption


def test_a_control_that_trained_otherwise_is_not_said_to_have_trained_as_long() -> None:
    records = measured()
    records[1] = records[1].model_copy(update={"images_seen": 7})
    assert records[1].role == "control"
    assert drawn(records)[0].caption.startswith("The start is the none control. ")


def test_methods_of_one_figure_are_named_and_told_apart() -> None:
    quantities = {
        "gone": {"title": "removed", "unit": "percent", "ours": "reached.params"},
        "accuracy": {"title": "accuracy", "unit": "percent", "ours": "accuracy"},
    }
    together = {
        "source": "figure 9",
        "title": "both",
        "pruners": ["random-filter", "l1-filter"],
        "x": "gone",
        "y": ["accuracy"],
    }
    (one,) = drawn(measured(), quantities=quantities, curves=[together])
    assert [trace["name"] for trace in one.figure["data"]] == ["random-filter", "l1-filter"]
    looks = [(trace["line"]["color"], trace["marker"]["symbol"]) for trace in one.figure["data"]]
    assert len(set(looks)) == 2
    assert one.figure["data"][0]["y"] == pytest.approx([92, 88, 84, 80])
    assert one.figure["layout"]["yaxis"]["title"]["text"] == "accuracy (%)"
    assert len(one.lines) == 1 + 2 * 3  # the control once


def test_what_is_left_of_the_start_is_all_of_it() -> None:
    quantities = experiment().model_dump()["quantities"]
    quantities["rate"] = {"title": "left", "unit": "percent", "ours": "1 - reached.params"}
    first, _ = drawn(measured(), quantities=quantities)
    assert first.figure["data"][0]["x"] == pytest.approx([40, 60, 80, 100])


def test_a_value_that_is_not_there_leaves_a_gap_not_a_zero() -> None:
    records = measured()
    lacking = {k: v for k, v in records[3].values.items() if k != "sp2ps/grad-cam"}
    records[3] = records[3].model_copy(update={"values": lacking})
    first, _ = drawn(records)
    accuracy, maps = first.figure["data"]
    assert accuracy["x"] == [0, 20, 40, 60]
    assert maps["x"] == [0, 20, 60]
    assert first.lines[2].cells[2] == ("–", "")


def test_text_of_records_stays_text() -> None:
    nasty = "l1-filter<img src=x onerror=alert(1)>"
    records = [
        one.model_copy(update={"model": f"digits-cnn({nasty})", "pruner": nasty})
        if one.pruner == "l1-filter"
        else one.model_copy(update={"model": f"digits-cnn({nasty})"})
        for one in measured(pruners=("l1-filter",))
    ]
    one = experiment(ours={"datasets": ["*"], "models": ["digits-cnn*"]})
    (found,) = regenerate(one, board(records))
    text = json.dumps([each.figure for each in draw_curves(one, found)])
    assert "&lt;img" in text
    assert "<img" not in text
