"""The works' cards: what they hold is what was published, and a wrong card is refused clearly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prunebench.errors import RequestError
from prunebench.leaderboard.papers.cards.printed import Words, count_decimals, parse_number
from prunebench.leaderboard.papers.cards.reading import Reading, parse_reading
from prunebench.leaderboard.papers.cards.registry import read_work, read_works
from prunebench.leaderboard.papers.cards.work import PublishedExperiment, Work
from prunebench.plugins import entries

REPOSITORY = Path(__file__).parent.parent.parent.parent
WORKS = read_works()
EXPERIMENTS = [
    pytest.param(experiment, id=f"{name}/{experiment.name}")
    for name, work in WORKS.items()
    for experiment in work.experiments
]


def experiment_of(work: str, name: str) -> PublishedExperiment:
    return next(found for found in WORKS[work].experiments if found.name == name)


def column(experiment: PublishedExperiment, key: str) -> list[str]:
    values = [row.values.get(key) for row in experiment.rows]
    return [value for value in values if isinstance(value, str)]


def test_the_works_behind_the_benchmark_are_there() -> None:
    assert set(WORKS) == {
        "hrank",
        "interpretable-pruning",
        "isp",
        "kd-explainability",
        "sp2ps",
        "thesis-iterative",
    }


@pytest.mark.parametrize("name", WORKS)
def test_a_work_says_what_it_is(name: str) -> None:
    work = WORKS[name]
    assert re.fullmatch(r"[A-Z].*\.", work.summary), "the summary is one sentence"
    assert work.protocol


def test_suites_that_are_named_exist() -> None:
    named = [e for work in WORKS.values() for e in work.experiments if e.suite is not None]
    assert named
    for experiment in named:
        path = REPOSITORY / str(experiment.suite)
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"] == experiment.suite_name


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_compressors_that_are_named_exist(experiment: PublishedExperiment) -> None:
    known = set(entries("pruners"))
    sets = [experiment.ours.pruners, *(rows.pruners for rows in experiment.similar)]
    for patterns in [*sets, *(row.pruners or () for row in experiment.rows)]:
        for pattern in patterns:
            assert "*" in pattern or pattern in known


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_printed_changes_add_up_or_are_noted(experiment: PublishedExperiment) -> None:
    for row in experiment.rows:
        printed = [row.values.get(key) for key in ("baseline", "pruned", "change")]
        if all(isinstance(value, str) for value in printed):
            before, after, change = (parse_number(str(value)) for value in printed)
            wrong = abs(after - before - change) > 0.0051
            assert wrong == bool(row.note and "Contradicts itself" in row.note), row.label


def test_the_tables_of_sp2ps_are_those_of_its_metrics_cards() -> None:
    for metric, key in (("sp2ps", "sp2ps_drop"), ("pe-score", "pe_drop")):
        card = yaml.safe_load((REPOSITORY / f"registry/metrics/{metric}.yaml").read_text())
        lists = [p for p in card["published"] if "acc_drop" in p["what"]]
        assert len(lists) == 3
        for published in lists:
            cam = re.search(r"(Ablation-CAM|Grad-CAM\+\+|Grad-CAM),", published["what"])
            assert cam is not None
            experiment = experiment_of("sp2ps", cam[1].lower().replace("++", "-plus-plus"))
            rows = [row for row in experiment.rows if key in row.values]
            found = [parse_number(str(row.values[key])) for row in rows]
            assert found == [float(x) for x in published["value"].rstrip("%").split(", ")]
            at = re.search(r"acc_drop ([\d., ]+)%", published["what"])
            assert at is not None
            lost = [parse_number(str(row.values["acc_drop"])) for row in rows]
            assert lost == [float(x) for x in at[1].split(", ")]


def test_the_tables_of_isp_hold_every_peer() -> None:
    sizes = {e.name: len(e.rows) for e in WORKS["isp"].experiments}
    assert sizes == {
        "cifar10-resnet56": 8,
        "cifar10-mobilenetv2": 3,
        "imagenet-resnet34": 3,
        "imagenet-resnet50": 8,
        "imagenet-resnet101": 5,
        "imagenet-mobilenetv2": 5,
    }
    for experiment in WORKS["isp"].experiments:
        assert len(column(experiment, "flops")) == len(experiment.rows)
        best = [row.label for row in experiment.rows][-1]
        assert best == "ISP"


def test_known_contradictions_are_in_the_cards() -> None:
    resnet = experiment_of("isp", "cifar10-resnet56")
    contradicting = {row.label for row in resnet.rows if row.note}
    assert contradicting == {"HRank", "FPC"}
    assert any("25 degrees of freedom" in note for note in WORKS["thesis-iterative"].notes)
    ablation, grad = experiment_of("sp2ps", "ablation-cam"), experiment_of("sp2ps", "grad-cam")
    same = set(column(ablation, "sp2ps_drop")) & set(column(grad, "sp2ps_drop"))
    assert same == {"12.09%", "35.01%", "39.36%"}


@given(
    st.sampled_from(["", "+", "-", "−"]),
    st.decimals(0, 1000, places=2),
    st.booleans(),
)
def test_a_printed_number_is_read_as_it_stands(sign: str, value: Any, percent: bool) -> None:
    printed = f"{sign}{value}{'%' * percent}"
    assert parse_number(printed) == pytest.approx(float(value) * (-1 if sign in ("-", "−") else 1))
    assert count_decimals(printed) == 2


@pytest.mark.parametrize("text", ["", "about 5", "5 %", "1e3", "--1", "1,5", "nan"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="as printed"):
        parse_number(text)


def test_readings_are_taken_apart() -> None:
    assert parse_reading("1 - sp2ps/grad-cam++") == Reading("sp2ps/grad-cam++", "complement")
    assert parse_reading("- accuracy_drop") == Reading("accuracy_drop", "negative")
    assert parse_reading("accuracy of baseline") == Reading("accuracy", of_baseline=True)
    assert parse_reading("max(iou/grad-cam)") == Reading("iou/grad-cam", levels="max")
    assert parse_reading("pearson(a/b, c)") == Reading("a/b", levels="pearson", other="c")
    assert parse_reading("reached.macs").name == "reached.macs"


@pytest.mark.parametrize(
    "text", ["", "2 - a", "a + b", "max(a, b)", "pearson(a)", "__import__('os')", "a of control"]
)
def test_what_is_no_reading_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a value"):
        parse_reading(text)


CARD = """\
title: A work
short: Work
kind: article
authors: A. Author
year: 2020
summary: It measures.
protocol: [By measuring.]
experiments:
  - name: one
    title: One table
    source: table 1
    conditions: {dataset: digits, model: digits-cnn, recovery: {epochs: 2}}
    quantities:
      drop: {title: drop, unit: percent, ours: accuracy_drop}
    nearest: drop
    ours: {datasets: [digits], models: [digits-cnn]}
    rows:
      - {label: first, values: {drop: 1.50%}}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "work.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_card_is_read(tmp_path: Path) -> None:
    work = read_work(write(tmp_path, CARD))
    assert work.experiments[0].rows[0].values == {"drop": "1.50%"}
    assert read_works(tmp_path) == {"work": work}


def test_words_stand_where_a_source_has_no_number(tmp_path: Path) -> None:
    work = read_work(write(tmp_path, CARD.replace("1.50%", "{words: hardly any}")))
    assert work.experiments[0].rows[0].values["drop"] == Words(words="hardly any")


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("drop: 1.50%", "drop: 1.5", 18, r"in quotes: '1.5'"),
        ("drop: 1.50%", "drop: hardly", 18, "expected a number as printed"),
        ("values: {drop", "values: {dorp", 9, "no quantity 'dorp'; did you mean 'drop'"),
        ("nearest: drop", "nearest: dop", 9, "did you mean 'drop'"),
        ("nearest: drop", "nearst: drop", 15, "unknown key 'nearst'; did you mean 'nearest'?"),
        ("ours: accuracy_drop", "ours: 2 x accuracy", 14, "expected a value such as"),
        (", ours: accuracy_drop", "", 9, "needs 'ours'"),
        ("epochs: 2", "epoch: 2", 12, "did you mean 'epochs'"),
        ("epochs: 2", "epochs: -2", 12, "greater than or equal to 0"),
        ("    source: table 1\n", "", 9, "source"),
        ("source: table 1", "source: a\n    suite: benchmarks/../x.yaml", 12, "suite"),
        ("year: 2020", "doi: https://e.org", 5, "doi"),
        ("year: 2020", "url: javascript:alert(1)", 5, "url"),
        ("year: 2020", "year: !!python/object:os.system 1", 5, "tag"),
    ],
)
def test_a_wrong_card_is_refused_with_its_line(
    tmp_path: Path, before: str, after: str, line: int, message: str
) -> None:
    assert before in CARD
    path = write(tmp_path, CARD.replace(before, after))
    with pytest.raises(RequestError, match=re.escape(message)) as e:
        read_work(path)
    assert e.value.where == f"{path}:{line}"
    assert "\n" not in str(e.value)


def test_two_experiments_of_one_name_are_refused(tmp_path: Path) -> None:
    again = CARD[CARD.index("  - name: one") :]
    with pytest.raises(RequestError, match="two experiments are called 'one'"):
        read_work(write(tmp_path, CARD + again))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text\n"])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RequestError, match="mapping"):
        read_work(write(tmp_path, text))


def test_a_card_is_frozen() -> None:
    work: Work = WORKS["sp2ps"]
    with pytest.raises(ValueError, match="frozen"):
        work.title = "other"  # type: ignore[misc]
