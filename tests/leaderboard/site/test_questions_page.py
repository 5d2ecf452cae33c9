from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record
from test_pruner_pages import NASTY, Page, traces

from prunebench.leaderboard.board import board
from prunebench.leaderboard.questions import between_sections
from prunebench.leaderboard.site.links import name_section
from prunebench.leaderboard.site.questions import page as questions_page
from prunebench.leaderboard.site.questions import question_view
from prunebench.record import Record, Value

CAMS = ("a-cam", "b-cam")
DEVIATION = 0.01 * 3**0.5 / 4.302653
"""Of three seeds whose t-interval is 0.01 to either side."""
SCORES = {"x": (0.9, 0.8), "y": (0.7, 0.5), "z": (0.5, 0.7)}


def page(records: list[Record], site: Path) -> Page:
    questions_page.write(board(records), site)
    return Page(site / "questions.html")


def networks(
    layer: str = "features.5",
    text: str = "",
    flip: bool = False,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> list[Record]:
    """Three pruners under two methods, which turn y and z round."""
    conditions = CONDITIONS.model_copy(update={"target_layer": layer})
    fields: dict[str, Any] = {"conditions": conditions, "protocol": f"p-{'two' if flip else 'one'}"}
    cams = [cam + text for cam in CAMS]
    scores = {p: means[::-1] if flip else means for p, means in SCORES.items()}
    found = []
    for seed in seeds:
        shift = DEVIATION * (seed - 1) if len(seeds) > 1 else 0.0
        fields |= {"seed": seed, "seeds": seeds}
        found += [
            baseline(sp2ps=dict.fromkeys(cams, 1.0), **fields),
            control(dict.fromkeys(cams, 0.98 + shift), keys={"network": "n"}, **fields),
            *(
                record(
                    pruner + text,
                    0.5,
                    sp2ps={cam: mean + shift for cam, mean in zip(cams, means, strict=True)},
                    keys={"network": pruner},
                    **fields,
                )
                for pruner, means in scores.items()
            ),
        ]
    return found


def test_the_answer_is_a_sentence_from_the_numbers(tmp_path: Path) -> None:
    found = page(networks(), tmp_path)
    assert (
        "Often. In the one comparison the best pruner stays; Kendall's τ-b 0.33; "
        "1 of 3 pairs that both separate is reversed (33.3%). "
        "This rests on one set of networks, under 3 seeds." in found.text
    )
    assert "1 of 3" in found.text
    assert "50.0% of MACs" in found.text
    assert found.unscoped == 0
    (section,) = board(networks())
    assert f"correlations/{name_section(section)}.html" in found.links


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
    assert "bars are 95% confidence intervals over seeds." in found.text
    assert "In reversed pairs: y; z." in found.text
    assert "Kendall's τ-b 0.33" in found.alts[0]


def test_one_seed_tells_no_pruners_apart_and_the_page_says_so(tmp_path: Path) -> None:
    found = page(networks(seeds=(0,)), tmp_path)
    assert "Cannot be told." in found.text
    assert "under one seed, too few to tell any pruners apart." in found.text
    assert "bars are 95% confidence intervals, of images only." in found.text


def test_layers_are_compared_under_each_method(tmp_path: Path) -> None:
    found = page([*networks("one"), *networks("two", flip=True)], tmp_path)
    assert (
        "In all 2 comparisons the best pruner stays; Kendall's τ-b 0.33; "
        "2 of 6 pairs that both separate are reversed (33.3%). "
        "This rests on one set of networks, under 3 seeds." in found.text
    )
    assert "one,two" in found.text  # a line break stands between


def renamed(records: list[Record], prefix: str) -> list[Record]:
    """The same numbers of other networks."""
    return [
        each.model_copy(update={"keys": {"network": f"{prefix}{each.keys.get('network')}"}})
        for each in records
    ]


def test_the_same_networks_are_marked_and_counted_once(tmp_path: Path) -> None:
    same = [*networks("one"), *networks("two", flip=True)]
    found = page(same, tmp_path)
    assert "1 of 3 pairs that both separate is reversed (33.3%). This rests on one" in found.text
    assert "1 comparison, the least agreeing first; then 1 of the same networks" in found.text
    assert found.text.count("p-two same networks") == 2  # a comparison, and training alone
    assert "p-one same networks" not in found.text
    assert "(one set of networks)" in found.text
    other = page([*networks("one"), *renamed(networks("two", flip=True), "another ")], tmp_path)
    assert "p-two same networks" not in other.text
    assert "This rests on 2 distinct sets of networks, each under 3 seeds." in other.text


def test_a_share_is_said_to_be_the_median_of_what(tmp_path: Path) -> None:
    cams = dict.fromkeys(CAMS, 0.8)
    records = []
    for index, drop in enumerate((0.02, 0.04, 0.1)):
        fields: dict[str, Any] = {"protocol": f"p{index}"}
        records += [
            baseline(**fields),
            control(dict.fromkeys(CAMS, 1 - drop), **fields),
            record("x", 0.5, sp2ps=cams, keys={"network": str(index)}, **fields),
        ]
    found = page(records, tmp_path)
    verdict = "20% of the drop of compressed networks (median of 3 sets of networks, 10% to 50%)."
    assert found.text.count(verdict) == 2
    assert (
        "Training alone costs 0.020 to 0.100 (median 0.040) of Sp2PS (1 − Sp2PS of the control): "
        "10% to 50% (median 20%) of the median drop of the compressed networks that trained as "
        "long. One value for each of 3 distinct sets of networks, its median over explanation "
        "methods and axes." in found.text
    )


def test_orders_of_equal_values_are_not_unknown(tmp_path: Path) -> None:
    conditions = [CONDITIONS.model_copy(update={"target_layer": name}) for name in ("one", "two")]
    records = [
        each.model_copy(update={"conditions": other, "protocol": f"p-{other.target_layer}"})
        for other in conditions
        for each in networks()
    ]
    found = page(records, tmp_path)
    assert (
        "Every value is the same. In all 2 comparisons both orders have equal values. "
        "This rests on one set of networks, under 3 seeds." in found.text
    )
    assert "explained at another layer" not in found.text


def test_who_is_left_out_is_told_with_the_reason(tmp_path: Path) -> None:
    odd = record("w", 0.5, sp2ps={"a-cam": 0.6}, conditions=CONDITIONS, protocol="p-one")
    found = page([*networks(), odd], tmp_path)
    assert "3 of 4" in found.text
    assert "Pruners left out of comparisons (1)" in found.text
    assert "dense: w (a level has no sp2ps/b-cam)." in found.text
    fewer = [r for r in networks() if r.pruner != "z"]
    assert "it takes 3; left out: w (a level has no sp2ps/b-cam)." in (
        page([*fewer, odd], tmp_path).text
    )


def test_a_line_of_undefined_values_has_a_reason_and_no_share(tmp_path: Path) -> None:
    records = networks()
    hollow = Value(mean=0.98, low=0.97, high=0.99, interval="images", n=90, undefined=10)
    records = [
        each.model_copy(update={"values": {**each.values, "sp2ps/a-cam": hollow}})
        if each.role == "control"
        else each
        for each in records
    ]
    found = page(records, tmp_path)
    reason = "sp2ps/a-cam of the `none` control is not defined on 10% of images"
    assert found.text.count(reason) == 2  # where orders cannot be compared, and in the table
    assert f"not counted: {reason}" in found.text
    (points,) = (trace for trace in found.figures[-1]["data"] if trace["name"] == "dense")
    assert len(points["x"]) == 1


def test_what_was_not_tried_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(between_sections, "MOST_SECTIONS", 2)
    monkeypatch.setattr(between_sections, "MOST_METHODS", 1)
    records = [*networks("one"), *networks("two", flip=True)]
    records += [
        each.model_copy(update={"protocol": "p-three", "conditions": conditions})
        for conditions in (CONDITIONS.model_copy(update={"target_layer": "zzz"}),)
        for each in networks()
    ]
    told = "Not tried, as there would be too many: 1 comparison and 2 pairs of sections."
    assert told in page(records, tmp_path).text


def test_pruners_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    long = "x(budget=100.0, predictor={epochs: 2, batch_size: 64}, selector={images: 5000}, y=1"
    label = {"x": f"{long})", "y": f"{long}, z=2)", "z": "z(target=macs)"}
    records = [
        each.model_copy(update={"pruner": label.get(each.pruner, each.pruner)})
        for each in networks()
    ]
    found = page(records, tmp_path)
    still = found.figures[0]["data"][0]
    assert (still["text"], still["hovertext"]) == (["x"], [label["x"]])
    assert "In reversed pairs: x(z=2); z." in found.text
    assert "budget" not in found.text
    assert label["x"] in (tmp_path / "questions.html").read_text()


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
    assert found.text.count("Not known yet") == 14  # seven answers, each on top and below
    assert "two explanation methods and sp2ps" in found.text
    assert "a suite of 3 pruners or more on one axis, run twice" in found.text
    found = page(networks(), tmp_path)
    assert "such as the suite quick (digits · digits-cnn" in found.text
    assert "protocol p-one) run again" in found.text
    assert "with another target_layer under explain" in found.text
    found = page([r for r in networks() if r.pruner != "z"], tmp_path)
    assert "Where it cannot be answered (1)" in found.text
    assert "dense: 2 pruners can be compared, and it takes 3." in found.text


def test_tables_say_what_they_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_view, "MOST_LINES", 1)
    found = page([*networks("one"), *networks("two", flip=True)], tmp_path)
    assert "1 more are not shown" in found.text


def test_text_of_records_is_text(tmp_path: Path) -> None:
    records = [*networks(NASTY, NASTY), *networks(f"{NASTY} two", NASTY, flip=True)]
    found = page(records, tmp_path)
    assert "onerror" in found.text
    assert "img" not in found.tags
    assert found.inline == 0
    shown = [[t.get(key) for key in ("name", "text", "hovertext")] for t in traces(found)]
    axes = ("xaxis", "yaxis")
    titles = [f["layout"][axis]["title"]["text"] for f in found.figures for axis in axes]
    assert len(titles) == 2 * len(found.figures) > 0
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
    assert "no pair of pruners is separated by both orders" in found.text
