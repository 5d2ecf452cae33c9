"""A published correlation drawn: two values over the levels of one method."""

from __future__ import annotations

import json
from typing import Any

import pytest
from synthetic import control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.nearest import choose_levels
from prunebench.leaderboard.site.papers.levels import draw_over_levels
from prunebench.record import Record, Value

IOU = "mask_iou/grad-cam++"
ACCURACY = {1: [0.98, 0.97, 0.9, 0.2], 2: [0.96, 0.97, 0.8, 0.1]}
COVERED = {1: [0.18, 0.2, 0.22, 0.1], 2: [0.16, 0.22, 0.2, 0.0]}


def rounds(seed: int, **more: Any) -> list[Record]:
    """The control and three rounds that each take a half of what is left."""
    common: dict[str, Any] = {"seed": seed, "seeds": tuple(ACCURACY), **more}
    values = [{IOU: Value(mean=iou)} for iou in COVERED[seed]]
    found = [control(1.0, ACCURACY[seed][0], values=values[0], **common)]
    for k in (1, 2, 3):
        found.append(
            record(
                "iterative",
                1 - 0.5**k,
                axis="masked",
                pruner_name="iterative",
                accuracy=ACCURACY[seed][k],
                values=values[k],
                round=k,
                **common,
            )
        )
    return found


def levels(*records: Record) -> list[Row]:
    (section,) = board(records)
    compressed = [row for row in section.rows if row.first.role == "compressed"]
    return choose_levels(compressed, section)


def traces(figure: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["mode"] == kind]


def test_means_and_the_range_of_seeds_stand_over_what_is_left() -> None:
    log, linear = draw_over_levels(levels(*rounds(1), *rounds(2)), ("accuracy", IOU))
    assert [f.figure["layout"]["xaxis"]["type"] for f in (log, linear)] == ["log", "linear"]
    assert log.figure["data"] == linear.figure["data"]
    for trace, of, axis in zip(
        traces(log.figure, "lines+markers"), (ACCURACY, COVERED), ("y", "y2"), strict=True
    ):
        assert trace["yaxis"] == axis
        assert trace["x"] == [1, 0.5, 0.25, 0.125]
        means = [(a + b) / 2 for a, b in zip(of[1], of[2], strict=True)]
        assert trace["y"] == pytest.approx(means)
    for shade, of in zip(traces(log.figure, "lines"), (ACCURACY, COVERED), strict=True):
        pairs = list(zip(of[1], of[2], strict=True))
        assert shade["x"] == [1, 0.5, 0.25, 0.125, 0.125, 0.25, 0.5, 1]
        assert shade["y"] == [*map(min, pairs), *map(max, reversed(pairs))]


def test_one_seed_has_no_range_and_a_level_without_value_is_left_out() -> None:
    records = rounds(1)
    lacking = {**records[2].values, IOU: Value(mean=None, reason="no object", undefined=500)}
    records[2] = records[2].model_copy(update={"values": lacking})
    log, _ = draw_over_levels(levels(*records), ("accuracy", IOU))
    assert not traces(log.figure, "lines")
    accuracy, iou = traces(log.figure, "lines+markers")
    assert accuracy["x"] == [1, 0.5, 0.25, 0.125]
    assert iou["x"] == [1, 0.5, 0.125]


def test_words_tell_start_peak_and_end() -> None:
    log, linear = draw_over_levels(levels(*rounds(1), *rounds(2)), ("accuracy", IOU))
    assert "0.970 without compression" in log.alt
    assert "at most 0.210 (with 50.00% left) and 0.050 with 12.50% left" in log.alt
    assert log.alt != linear.alt


def test_text_of_records_stays_text() -> None:
    nasty = "grad-cam<img src=x onerror=alert(1)>"
    name = f"mask_iou/{nasty}"
    records = [
        one.model_copy(update={"values": {**one.values, name: one.values[IOU]}})
        for one in rounds(1)
    ]
    log, _ = draw_over_levels(levels(*records), ("accuracy", name))
    assert "<img" not in json.dumps(log.figure)
    assert "&lt;img" in json.dumps(log.figure)
