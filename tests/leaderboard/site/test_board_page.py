from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from nasty_records import records as nasty_records
from synthetic import CONDITIONS, baseline, control, floor, record, suite
from worlds import world

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.protocol import Protocol
from prunebench.leaderboard.site.board import page as board_page
from prunebench.leaderboard.site.board.columns import FIRST_SHOWN, VALUE, list_columns
from prunebench.leaderboard.site.board.rows import list_entries
from prunebench.leaderboard.site.families import FAMILIES, family_of, title_of
from prunebench.leaderboard.site.links import name_row, name_section
from prunebench.record import Record, Value


def head(site: Path) -> dict[str, Any]:
    page = (site / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="board-data">(.*?)</script>', page)
    assert found
    content = json.loads(found[1])
    assert isinstance(content, dict)
    return content


def parts(site: Path) -> list[dict[str, Any]]:
    found = []
    for name in head(site)["parts"]:
        call = re.fullmatch(
            r"Board\.part\((.*)\);\n", (site / name).read_text(encoding="ascii"), re.DOTALL
        )
        assert call
        found.append(json.loads(call[1]))
    return found


def column(site: Path, key: str) -> list[Any]:
    """A column's numbers over all parts."""
    return [
        number
        for part in parts(site)
        for number in part["columns"].get(key, {}).get("v", [None] * len(part["names"]))
    ]


def notes(site: Path, key: str) -> dict[str, str]:
    """Notes of a column by the rows' names."""
    return {
        part["names"][int(at)]: part["notes"][note]
        for part in parts(site)
        for at, note in part["columns"].get(key, {}).get("n", {}).items()
    }


def written(records: list[Record], site: Path) -> Path:
    board_page.write(board(records), site)
    return site


def test_every_row_stands_once_in_the_boards_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_page, "ROWS_OF_PART", 7)
    records = suite(seeds=(0, 1), floors=True) + suite(protocol="p2")
    site = written(records, tmp_path)
    expected = [name_row(entry.row) for entry in list_entries(board(records))]
    assert [name for part in parts(site) for name in part["names"]] == expected
    assert len(set(expected)) == sum(len(section.rows) for section in board(records))
    assert [part["start"] for part in parts(site)] == list(range(0, len(expected), 7))
    assert head(site)["total"] == len(expected)


def test_numbers_are_those_of_the_records(tmp_path: Path) -> None:
    records = suite(seeds=(0, 1, 2), floors=True)
    site = written(records, tmp_path)
    found = list(list_entries(board(records)))
    for key in ("accuracy", "macs", "sp2ps/grad-cam", "latency_cpu_b1_ratio"):
        for shown, entry in zip(column(site, VALUE + key), found, strict=True):
            mean = entry.row.get(key).mean
            assert shown == (None if mean is None else pytest.approx(mean, rel=1e-5, abs=1e-5))
    for shown, entry in zip(column(site, "change"), found, strict=True):
        drop = entry.row.drop(entry.section.baseline)
        known = drop is not None and entry.row.first.role != "baseline"
        assert shown == (pytest.approx(-100 * (drop or 0.0), abs=1e-4) if known else None)


def test_what_is_missing_has_its_reason(tmp_path: Path) -> None:
    records = [
        baseline(),
        control(),
        record("blind", id="blind", sp2ps={"grad-cam": None}),
        record("poor", id="poor", accuracy=0.5),
        record("half", id="half", seeds=(0, 1)),
    ]
    site = written(records, tmp_path)
    assert notes(site, "value/sp2ps/grad-cam") == {"blind": "both maps are zero"}
    assert set(notes(site, "rank").values()) == {
        "not ranked: no maps under random weights were measured"
    }
    assert notes(site, "seeds") == {"half": "1 of 2 seeds"}
    assert notes(site, "pareto")["half"] == "not judged: 1 of 2 seeds"
    assert "no maps under random weights" in notes(site, "rescaled/grad-cam")["poor"]


def test_any_new_metric_has_a_column_in_a_family_of_its_kind() -> None:
    new = {
        "wonder/grad-cam": Value(mean=0.5, low=0.4, high=0.6, n=10),
        "ssim_wonder/grad-cam": Value(mean=0.5),
        "wonder": Value(mean=0.5, n=10),
        "wonder_tpu_ms": Value(mean=3.0, measured=True),
        "wonder_tpu_ratio": Value(mean=0.7, measured=True),
        "wonder_count": Value(mean=12.0),
    }
    found = {name: family_of(name, value) for name, value in new.items()}
    assert list(found.values()) == [
        "quality",
        "preservation",
        "accuracy",
        "times",
        "speed",
        "cost",
    ]
    shown = list_columns(board([baseline(), control(), record(values=new)]))
    keys = {column.key.removeprefix(VALUE): column for column in shown}
    assert {name: keys[name].family for name in new} == found
    assert keys["wonder/grad-cam"].cam == "grad-cam"
    assert {column.family for column in shown} <= set(FAMILIES)
    assert set(FIRST_SHOWN) < set(FAMILIES)
    assert title_of("wonder_tpu_ms") == "Wonder tpu (ms)"


def test_a_hundred_classes_make_no_columns() -> None:
    values = {f"sp2ps_class_{n}/grad-cam": Value(mean=0.5) for n in range(100)}
    keys = [column.key for column in list_columns(board([record(values=values)]))]
    assert not [key for key in keys if "class" in key]
    assert len(keys) == len(set(keys))


def test_methods_that_most_rows_have_come_first() -> None:
    records = [record("a", sp2ps={"b-cam": 0.5, "a-cam": 0.5}), record("b", sp2ps={"b-cam": 0.5})]
    keys = [column.key for column in list_columns(board(records)) if column.family == "sp2ps"]
    assert keys == ["value/sp2ps/b-cam", "value/sp2ps/a-cam"]


def test_controls_are_told_apart(tmp_path: Path) -> None:
    site = written([baseline(), control(), floor(), record()], tmp_path)
    roles = head(site)["roles"]
    assert [roles[number] for number in column(site, "role")] == [
        "baseline",
        "control",
        "floor",
        "compressed",
    ]
    labels = head(site)["labels"]
    assert [labels[number] for number in column(site, "pruner")][:3] == [
        "baseline",
        "none: fine-tuning only",
        "random weights",
    ]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = suite(seeds=(0, 1), floors=True)
    first = written(records, tmp_path / "a")
    random.Random(1).shuffle(records)
    second = written(records, tmp_path / "b")
    for name in ("index.html", "board/part-000.js"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_no_text_of_a_record_is_markup(tmp_path: Path) -> None:
    site = written(nasty_records(), tmp_path)
    page = (site / "index.html").read_text(encoding="utf-8")
    for bad in ("<script>window", "<img src=x", "<svg onload", "\u2028"):
        assert bad not in page
    for path in (site / "board").iterdir():
        assert "</" not in path.read_text(encoding="ascii")


def test_groups_can_be_linked_to(tmp_path: Path) -> None:
    records = suite(protocol="p1") + suite(protocol="p2")
    hub = CONDITIONS.model_copy(update={"model": "torchvision/resnet18"})
    more = suite(protocol="0123456789")
    changed = {"conditions": hub, "model": "torchvision/resnet18"}
    records += [one.model_copy(update=changed) for one in more]
    site = written(records, tmp_path)
    page = (site / "index.html").read_text(encoding="utf-8")
    for section in board(records):
        name, protocol = name_section(section), section.first.protocol[:8]
        assert re.search(rf'<option value="{name}">.* · {protocol}</option>', page)


def test_an_empty_board_is_a_page(tmp_path: Path) -> None:
    site = written([], tmp_path)
    assert head(site)["parts"] == []
    assert head(site)["total"] == 0


def test_the_page_begins_with_headlines_and_folds_demonstrations(tmp_path: Path) -> None:
    protocol = Protocol.model_validate(
        {
            "name": "2026.12",
            "headlines": [
                {
                    "suite": "quick",
                    "title": "Digits",
                    "dataset": "digits",
                    "model": "digits-cnn",
                    "cams": ["grad-cam"],
                    "pruners": ["a", "b"],
                }
            ],
        }
    )
    conditions = CONDITIONS.model_copy(update={"dataset": "letters"})
    poor = [
        each.model_copy(update={"suite": "other"})
        for each in world({"a": 0.9}, shown_good=False, conditions=conditions, protocol="p2")
    ]
    records = world({"a": 0.9, "b": 0.6}, noise=0.001)
    board_page.write(board([*records, *poor], protocol), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<h3>Digits</h3>" in text
    assert "<li>Channels removed: a (place 1, 0.9" in text
    demonstrations = text[text.index("<h2>Demonstrations</h2>") : text.index('<h2 id="rows">')]
    assert '<details class="sections">' in demonstrations
    assert demonstrations.count("Nobody is ranked: nobody trained its network 3 times") == 1
    assert "letters · digits-cnn" in demonstrations
    assert text.index('<optgroup label="Headlines">') < text.index('label="Demonstrations"')


def test_a_board_without_headlines_says_so(tmp_path: Path) -> None:
    site = written(suite(), tmp_path)
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "None of its suites has records here yet." in page


def test_rows_with_too_few_seeds_are_marked_preliminary(tmp_path: Path) -> None:
    few = [record("few", seed=s, seeds=(0, 1), pruner_name="few") for s in (0, 1)]
    site = written([*world({"a": 0.9}, shown_good=False), *few], tmp_path)
    found = dict(
        zip(
            [name for part in parts(site) for name in part["names"]],
            column(site, "preliminary"),
            strict=True,
        )
    )
    assert {name for name, early in found.items() if early} == {few[0].id}
