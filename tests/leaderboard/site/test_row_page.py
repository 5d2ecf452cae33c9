from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from nasty_records import TEXTS
from nasty_records import records as nasty_records
from synthetic import baseline, control, record, suite

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.site.links import name_row
from prunebench.leaderboard.site.number_format import flatten_mapping, format_number
from prunebench.leaderboard.site.row import page as row_page
from prunebench.leaderboard.site.row.excerpt import make_suite_text
from prunebench.leaderboard.site.row.sp2ps_split import draw_subsets
from prunebench.record import Epoch, Record, Times, Value


def pages(records: list[Record], site: Path) -> dict[str, dict[str, Any]]:
    """The content of all rows' pages, by name."""
    row_page.write(board(records), site)
    found = {}
    for path in sorted((site / "rows").iterdir()):
        text = path.read_text(encoding="ascii")
        call = re.fullmatch(r"RowPage\.show\((.*)\);\n", text, re.DOTALL)
        assert call
        assert "</" not in text
        found[path.stem] = json.loads(call[1])
    return found


def values(content: dict[str, Any]) -> dict[str, list[Any]]:
    return {value[0]: value for family in content["values"] for value in family["values"]}


def test_every_row_has_a_page(tmp_path: Path) -> None:
    records = suite(seeds=(0, 1), floors=True)
    found = pages(records, tmp_path)
    rows = {name_row(row): row for section in board(records) for row in section.rows}
    assert set(found) == set(rows)
    assert (tmp_path / "row.html").is_file()
    for name, content in found.items():
        assert content["id"] == name
        assert content["baseline"] in found
        assert content["control"] in found
        assert {level["id"] for level in content["levels"]} <= set(found)
        shown = {key for key in rows[name].estimates if not key.startswith("sp2ps_class_")}
        assert set(values(content)) == shown


def test_values_have_intervals_seeds_and_reasons(tmp_path: Path) -> None:
    lost = Value(mean=None, reason="it broke")
    records = [
        one
        for seed in (0, 1, 2)
        for one in (
            baseline(seed=seed, seeds=(0, 1, 2)),
            control(seed=seed, seeds=(0, 1, 2)),
            record(
                "p",
                id=f"p{seed}",
                accuracy=0.9 - 0.01 * seed,
                seed=seed,
                seeds=(0, 1, 2),
                values={"lost/grad-cam": lost},
            ),
        )
    ]
    found = values(pages(records, tmp_path)["p0"])
    name, title, text, between, kind, images, _, seeds = found["accuracy"]
    assert (name, title, text, images) == ("accuracy", "Accuracy", "89.00", 500)
    assert seeds == ["90.00", "89.00", "88.00"]
    assert kind == "t-interval over 3 seeds"
    assert between.startswith("[86.")
    assert found["lost/grad-cam"][2] == "–"
    assert "it broke" in found["lost/grad-cam"][6]


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_the_suite_that_is_shown_is_the_records(number: int) -> None:
    excerpt = {"name": TEXTS[number], "levels": [0.5, 1e-3], "recovery": {"lr": 1e-05, "x": None}}
    row = Row((record(suite_excerpt=excerpt),), (0,))
    assert yaml.safe_load(make_suite_text(row)) == excerpt


def test_the_suite_of_several_seeds_has_them_all() -> None:
    both = tuple(
        record(seed=seed, seeds=(3, 5), suite_excerpt={"name": "x", "seeds": [seed]})
        for seed in (3, 5)
    )
    assert yaml.safe_load(make_suite_text(Row(both, (3, 5)))) == {"name": "x", "seeds": [3, 5]}
    assert make_suite_text(Row((record(),), (0,))) == ""


def test_pictures_of_the_baseline_are_not_copied(tmp_path: Path) -> None:
    records = suite(maps=True)
    own = {one.id: {heatmap.png for heatmap in one.heatmaps} for one in records}
    for name, content in pages(records, tmp_path).items():
        assert {heatmap["png"] for heatmap in content["heatmaps"]} == own[name]


def test_pictures_that_are_withheld_are_not_shown(tmp_path: Path) -> None:
    records = suite(maps=True)
    for which, why in (("open", None), ("withheld", "the licence forbids it")):
        some = [one.model_copy(update={"pictures_withheld": why}) for one in records]
        for content in pages(some, tmp_path / which).values():
            images = [heatmap for heatmap in content["heatmaps"] if heatmap["cam"] is None]
            assert bool(images) == (why is None)
            assert len(content["heatmaps"]) > len(images)
            assert content["withheld"] == why


def test_single_times_are_shown_or_medians_and_it_is_said(tmp_path: Path) -> None:
    times = {"cpu_b1": Times(baseline=(1.0, 2.0, 3.0), network=(0.5, 0.7, 0.9))}
    records = [*suite(levels=(0.5,)), record("timed", id="timed", times=times)]
    found = pages(records, tmp_path)
    (figure,) = found["timed"]["figures"]["latency"]
    assert [trace["x"] for trace in figure["figure"]["data"]] == [[1, 2, 3], [0.5, 0.7, 0.9]]
    assert "baseline 2 ms, this network 0.7 ms" in figure["alt"]
    other = next(page for name, page in found.items() if "l1-filter" in name)
    (figure,) = other["figures"]["latency"]
    assert "keeps no single times" in figure["note"]
    own = figure["figure"]["data"][1]["x"][0]
    assert own / figure["figure"]["data"][0]["x"][0] == pytest.approx(0.8)


def test_curves_of_each_seed_and_step(tmp_path: Path) -> None:
    epochs = tuple(
        Epoch(epoch=n, loss=1 / n, lr=0.1, validation_accuracy=0.8 + n / 100) for n in (1, 2, 3)
    )
    records = [
        record(id=f"r{seed}", seed=seed, seeds=(0, 1), curves={"recovered": epochs, "odd": epochs})
        for seed in (0, 1)
    ]
    curves = pages(records, tmp_path)["r0"]["figures"]["curves"]
    assert [figure["title"] for figure in curves] == ["Training: fine-tuning", "Training: odd"]
    assert len(curves[0]["figure"]["data"]) == 4
    assert "validation accuracy 81.0% to 83.0%, seed 1" in curves[0]["alt"]


def test_terms_of_a_loss_are_a_figure_of_their_own(tmp_path: Path) -> None:
    epochs = tuple(
        Epoch(epoch=n, loss=2 / n, lr=0.1, terms={"budget": 0.5 / n, "interpretation": 1.5 / n})
        for n in (1, 2)
    )
    curves = pages([record(curves={"compressed": epochs})], tmp_path)
    loss, terms = next(iter(curves.values()))["figures"]["curves"]
    assert (loss["title"], terms["title"]) == ("Training: compression", "Terms: compression")
    drawn = [(line["name"], line["y"]) for line in terms["figure"]["data"]]
    assert drawn == [("budget", [0.5, 0.25]), ("interpretation", [1.5, 0.75])]
    assert "interpretation 1.5 to 0.75" in terms["alt"]


def test_parts_are_kept_flipped_then_classes_by_number() -> None:
    split = {
        "sp2ps_flipped/grad-cam": 0.2,
        "sp2ps_kept/grad-cam": 0.9,
        **{f"sp2ps_class_{n}/grad-cam": 0.5 + n / 100 for n in (10, 2, 0)},
    }
    named = record(
        values={name: Value(mean=mean) for name, mean in split.items()}, classes=("cat", "dog")
    )
    (found,) = draw_subsets(Row((named,), (0,)))
    lines = [(line[0], line[1]) for line in found["table"]["rows"]]
    assert lines == [
        ("prediction kept", "0.900"),
        ("prediction flipped", "0.200"),
        ("cat", "0.500"),
        ("class 2", "0.520"),
        ("class 10", "0.600"),
    ]
    assert "lowest: prediction flipped with 0.200" in found["alt"]
    drawing = found["figure"]
    assert drawing["data"][0]["x"] == drawing["layout"]["xaxis"]["tickvals"] == [0, 1, 2, 3, 4]
    assert drawing["layout"]["xaxis"]["ticktext"] == [line[0] for line in lines]


@pytest.mark.slow
def test_texts_of_records_stay_texts(tmp_path: Path) -> None:
    for name, content in pages(nasty_records(), tmp_path).items():
        text = json.dumps(content["figures"])
        for bad in ("<script", "<img", "<svg"):
            data = json.dumps(
                [one["figure"] for group in content["figures"].values() for one in group]
            )
            assert bad not in data, name
        assert "\\u2028" not in text


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (0.93201, "percent", "93.20"),
        (0.96249, "score", "0.962"),
        (-0.0001, "score", "0.000"),
        (0.9149, "ratio", "×0.91"),
        (1.2345, "ms", "1.23"),
        (123456.0, "ms", "123456"),
        (1_250_000, "count", "1.25 M"),
        (59.0, "count", "59"),
    ],
)
def test_numbers_are_written_as_people_do(number: float, kind: Any, text: str) -> None:
    assert format_number(number, kind) == text


def test_nested_content_is_told_line_by_line() -> None:
    content = {"packages": {"torch": "2.11"}, "threads": 2, "gone": None, "layers": ["a", "b"]}
    assert list(flatten_mapping(content)) == [
        ("packages torch", "2.11"),
        ("threads", "2"),
        ("layers", "a, b"),
    ]
