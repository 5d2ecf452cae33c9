"""Figures that the works' cards ask for: what they name exists, and a wrong one is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prunebench.errors import RequestError
from prunebench.leaderboard.papers.cards.figures import Curves
from prunebench.leaderboard.papers.cards.registry import read_work, read_works
from prunebench.plugins import entries

FIGURES = [
    pytest.param(asked, id=f"{name}/{experiment.name}/{index}")
    for name, work in read_works().items()
    for experiment in work.experiments
    for index, asked in enumerate(experiment.figures)
]

CARD = """\
title: A work
short: Work
kind: article
authors: A. Author
summary: It draws.
protocol: [By drawing.]
experiments:
  - name: drawn
    title: Two curves
    source: figure 1
    conditions: {dataset: digits, model: digits-cnn}
    quantities:
      rate: {title: rate, unit: percent, ours: level}
      accuracy: {title: accuracy, ours: accuracy}
      maps: {title: Sp2PS, ours: sp2ps/grad-cam}
    curves:
      - {source: figure 1, title: L1, pruners: [l1-filter], x: rate, y: [accuracy, maps]}
    heatmaps: {pruners: [l1-filter], cams: {grad-cam: figure 2}}
    ours: {datasets: [digits], models: [digits-cnn]}
"""


@pytest.mark.parametrize("asked", FIGURES)
def test_compressors_and_explanations_that_figures_name_exist(asked: Curves) -> None:
    assert set(asked.pruners) <= set(entries("pruners"))
    assert set(getattr(asked, "cams", ())) <= set(entries("cams"))


def test_every_figure_of_results_of_sp2ps_is_asked_for_once() -> None:
    named = []
    for experiment in read_works()["sp2ps"].experiments:
        named += [curves.source for curves in experiment.curves]
        named += experiment.heatmaps.cams.values() if experiment.heatmaps else []
    assert sorted(int(source.removeprefix("figure ")) for source in named) == list(range(4, 14))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "work.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_experiment_may_have_figures_and_no_table(tmp_path: Path) -> None:
    (experiment,) = read_work(write(tmp_path, CARD)).experiments
    assert experiment.rows == ()
    assert [type(asked).__name__ for asked in experiment.figures] == ["Curves", "Heatmaps"]


def test_heatmaps_need_no_column(tmp_path: Path) -> None:
    lines = CARD.splitlines(keepends=True)
    start, end = (next(i for i, s in enumerate(lines) if k in s) for k in ("quantities", "heatmap"))
    (experiment,) = read_work(write(tmp_path, "".join(lines[:start] + lines[end:]))).experiments
    assert experiment.quantities == {}
    assert len(experiment.figures) == 1


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("x: rate", "x: rat", 17, "no quantity 'rat'; did you mean 'rate'"),
        ("[accuracy, maps]", "[accuracy, mops]", 17, "did you mean 'maps'"),
        ("[accuracy, maps]", "[]", 17, "at least 1 item"),
        ("[accuracy, maps]", "[maps, maps]", 17, "column 'maps' is named twice"),
        ("[accuracy, maps]", "[accuracy, rate]", 17, "share an axis, but no unit"),
        ("ours: sp2ps/grad-cam", "ours: max(sp2ps/grad-cam)", 17, "read off one row"),
        ("title: L1, ", "titel: L1, ", 17, "unknown key 'titel'; did you mean 'title'?"),
        ("pruners: [l1-filter], x", "pruners: [], x", 17, "at least 1 item"),
        ("{grad-cam: figure 2}", "{}", 18, "at least 1 item"),
        ("cams: {grad-cam: figure 2}", "cam: {}", 18, "did you mean 'cams'"),
    ],
)
def test_a_wrong_figure_is_refused_with_its_line(
    tmp_path: Path, before: str, after: str, line: int, message: str
) -> None:
    assert before in CARD
    path = write(tmp_path, CARD.replace(before, after))
    with pytest.raises(RequestError, match=re.escape(message)) as e:
        read_work(path)
    assert e.value.where == f"{path}:{line}"
    assert "\n" not in str(e.value)


def test_an_experiment_of_nothing_is_refused(tmp_path: Path) -> None:
    lines = CARD.splitlines(keepends=True)
    kept = [s for s in lines if not re.match(r"    (curves|heatmaps|  - \{source)", s)]
    bare = "".join(s for s in kept if not s.startswith("      - {source"))
    with pytest.raises(RequestError, match="'rows', 'curves' or 'heatmaps'"):
        read_work(write(tmp_path, bare))
