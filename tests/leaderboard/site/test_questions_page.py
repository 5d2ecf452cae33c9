from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record
from test_pruner_pages import NASTY, Page, traces

from prunebench.leaderboard.board import board
from prunebench.leaderboard.site.links import section_name
from prunebench.leaderboard.site.questions import page as questions_page
from prunebench.record import Record

CAMS = ("a-cam", "b-cam")
SCORES = {"x": (0.9, 0.8), "y": (0.7, 0.5), "z": (0.5, 0.7)}


def page(records: list[Record], site: Path) -> Page:
    questions_page.write(board(records), site)
    return Page(site / "questions.html")


def networks(layer: str = "features.5", text: str = "", flip: bool = False) -> list[Record]:
    """Three pruners under two methods, which turn y and z round."""
    conditions = CONDITIONS.model_copy(update={"target_layer": layer})
    fields: dict[str, Any] = {"conditions": conditions, "protocol": f"p-{'two' if flip else 'one'}"}
    cams = [cam + text for cam in CAMS]
    scores = {p: means[::-1] if flip else means for p, means in SCORES.items()}
    return [
        baseline(sp2ps=dict.fromkeys(cams, 1.0), **fields),
        control(dict.fromkeys(cams, 0.98), keys={"network": "n"}, **fields),
        *(
            record(
                pruner + text,
                0.5,
                sp2ps=dict(zip(cams, means, strict=True)),
                keys={"network": pruner},
                **fields,
            )
            for pruner, means in scores.items()
        ),
    ]


def test_the_answer_is_a_sentence_from_the_numbers(tmp_path: Path) -> None:
    found = page(networks(), tmp_path)
    assert (
        "Often. In the one comparison the best pruner stays; Kendall's τ-b 0.33; "
        "1 of 3 pairs that both tell apart is reversed (33.3%)." in found.text
    )
    assert "1 of 3" in found.text
    assert "50.0% of MACs" in found.text
    assert found.unscoped == 0
    (section,) = board(networks())
    assert f"correlations/{section_name(section)}.html" in found.links


def test_the_figure_shows_the_pruners_and_who_is_reversed(tmp_path: Path) -> None:
    found = page(networks(), tmp_path)
    assert len(found.figures) == len(found.alts) == 2
    still, moved = found.figures[0]["data"]
    assert (still["x"], still["y"], still["text"]) == ([0.9], [0.8], ["x"])
    assert sorted(zip(moved["hovertext"], moved["x"], moved["y"], strict=True)) == [
        ("y", 0.7, 0.5),
        ("z", 0.5, 0.7),
    ]
    assert moved["error_x"]["array"] == pytest.approx([0.01, 0.01])
    assert "In reversed pairs: y; z." in found.text
    assert "Kendall's τ-b 0.33" in found.alts[0]


def test_layers_are_compared_under_each_method(tmp_path: Path) -> None:
    found = page([*networks("one"), *networks("two", flip=True)], tmp_path)
    assert (
        "In all 2 comparisons the best pruner stays; Kendall's τ-b 0.33; "
        "2 of 6 pairs that both tell apart are reversed (33.3%)." in found.text
    )
    assert "one,two" in found.text  # a line break stands between


def test_training_alone_is_told_beside_the_drops(tmp_path: Path) -> None:
    found = page(networks(), tmp_path)
    assert "Training alone costs 0.020 of Sp2PS" in found.text
    assert "7% of the median drop" in found.text
    assert "A reference, not a decomposition" in found.text
    points = found.figures[-1]["data"][-1]
    assert (points["x"], points["y"]) == ([0.3, 0.3], [0.02, 0.02])


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    found = page([], tmp_path)
    assert found.figures == []
    assert found.text.count("Not known yet") == 12  # six answers, each on top and below
    assert "two explanation methods and sp2ps" in found.text
    assert "a suite of 3 pruners or more on one axis, run twice" in found.text
    found = page(networks(), tmp_path)
    assert "such as the suite quick (digits · digits-cnn, protocol p-one) run again" in found.text
    assert "with another target_layer under explain" in found.text
    found = page([r for r in networks() if r.pruner != "z"], tmp_path)
    assert "Where it cannot be answered (1)" in found.text
    assert "dense: 2 pruners can be compared, and it takes 3." in found.text


def test_tables_say_what_they_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions_page, "MOST_LINES", 1)
    found = page([*networks("one"), *networks("two", flip=True)], tmp_path)
    assert "1 more that agree better are not shown" in found.text


def test_text_of_records_is_text(tmp_path: Path) -> None:
    records = [*networks(NASTY, NASTY), *networks(f"{NASTY} two", NASTY, flip=True)]
    found = page(records, tmp_path)
    assert "onerror" in found.text
    assert "img" not in found.tags
    assert found.inline == 0
    shown = [[t.get(key) for key in ("name", "text", "hovertext")] for t in traces(found)]
    titles = [f["layout"][axis]["title"]["text"] for f in found.figures for axis in ("xaxis",)]
    assert "<img" not in json.dumps([shown, titles])
    assert "&lt;" in json.dumps([shown, titles])


def test_a_board_without_swaps_is_not_said_to_have_some(tmp_path: Path) -> None:
    alike = [
        record(p, 0.5, sp2ps=dict.fromkeys(CAMS, 0.8 + 0.001 * i)) for i, p in enumerate("abc")
    ]
    cams = dict.fromkeys(CAMS, 1.0)
    differ = record("d", 0.5, sp2ps={"a-cam": 0.803, "b-cam": 0.804})
    found = page([baseline(sp2ps=cams), control(cams), *alike, differ], tmp_path)
    assert "Cannot be told. In the one comparison the best pruner stays" in found.text
    assert "no pair of pruners is told apart by both orders" in found.text
