"""The works' own cards beside records: tables sorted together, correlations, and the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import CONDITIONS, baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.papers.cards.printed import Words
from prunebench.leaderboard.papers.cards.registry import read_works
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.compare import (
    ComparedExperiment,
    Counterpart,
    compare_experiment,
    compare_works,
)
from prunebench.leaderboard.papers.readings import CAUTION
from prunebench.leaderboard.site.papers import page as papers_page
from prunebench.leaderboard.site.papers.table import make_table
from prunebench.record import Reached, Record, Value, read_records

REPOSITORY = Path(__file__).parent.parent.parent.parent
WORKS = read_works()


def published(name: str, part: str) -> PublishedExperiment:
    return next(found for found in WORKS[name].experiments if found.name == part)


def of(compared: ComparedExperiment, label: str) -> Counterpart:
    return next(beside for beside in compared.rows if beside.published.label == label)


def numbers(beside: Counterpart) -> dict[str, float | None]:
    return {number.key: number.ours for number in beside.numbers}


def thesis(accuracies: Sequence[float], ious: Sequence[float], seed: int = 333) -> list[Record]:
    """Rounds of iterative pruning on MNIST, the first without pruning."""
    conditions = CONDITIONS.model_copy(
        update={"dataset": "mnist(noise=0.1)", "model": "thesis-cnn"}
    )
    common: dict[str, Any] = {
        "conditions": conditions,
        "seed": seed,
        "seeds": (333, 334),
    }

    def covered(iou: float) -> dict[str, Value]:
        return {"mask_iou/grad-cam++": Value(mean=iou)}

    found = [
        baseline(0.5, **common),
        control(1.0, accuracies[0], values=covered(ious[0]), **common),
    ]
    for index, (accuracy, iou) in enumerate(zip(accuracies, ious, strict=True)):
        if index:
            found.append(
                record(
                    "iterative",
                    round(1 - 0.8**index, 6),
                    axis="masked",
                    pruner_name="iterative",
                    accuracy=accuracy,
                    values=covered(iou),
                    round=index,
                    **common,
                )
            )
    return found


def test_the_theses_correlation_is_over_the_levels_of_seed_means_without_a_p_value() -> None:
    rng = np.random.default_rng(0)
    series = {seed: (rng.uniform(0.5, 0.98, 26), rng.uniform(0.1, 0.3, 26)) for seed in (333, 334)}
    records = [r for seed, (a, b) in series.items() for r in thesis(list(a), list(b), seed)]
    compared = compare_experiment(published("thesis-iterative", "correlation"), board(records))
    assert compared.state == "run"
    (number,) = compared.rows[0].numbers
    means = [np.mean([series[seed][part] for seed in series], axis=0) for part in (0, 1)]
    assert number.ours == pytest.approx(np.corrcoef(*means)[0, 1])
    assert number.difference == pytest.approx(np.corrcoef(*means)[0, 1] - 0.960)
    each = sorted(np.corrcoef(*pair)[0, 1] for pair in series.values())
    spread = f"over 26 levels; by seed {each[0]:.3f} to {each[1]:.3f}".replace("-", "−")
    assert spread in str(number.note)
    assert CAUTION in str(number.note)
    (peak,) = (
        compare_experiment(published("thesis-iterative", "peak"), board(records)).rows[0].numbers
    )
    assert peak.ours == pytest.approx(means[1].max())


@pytest.mark.parametrize(
    ("accuracies", "ious", "said"),
    [
        ([0.98, 0.97, 0.9], [0.2, 0.19, 0.12], "no level lost more than 10 points of accuracy"),
        (
            [0.98, 0.97, 0.96, 0.2, 0.1],
            [0.20, 0.24, 0.20, 0.05, 0.0],
            "10 points of accuracy 0.000, over 3 levels, at most 2.5% of a level's maps zero. "
            "Pearson's r is 0.98 with the 2 levels that lost more than 10 points of accuracy and "
            "0.00 without",
        ),
        ([0.98, 0.97, 0.2, 0.1], [0.2, 0.2, 0.1, 0.0], "not defined, over 2 levels"),
    ],
)
def test_the_thesiss_correlation_is_told_without_collapsed_levels(
    accuracies: list[float], ious: list[float], said: str
) -> None:
    records = [
        one.model_copy(
            update={"values": {**one.values, "zero_map_fraction/grad-cam++": Value(mean=zeros)}}
        )
        for one in thesis(accuracies, ious)
        for zeros in (0.025 if (one.mean("accuracy") or 0) > 0.5 else 0.75,)
    ]
    (number,) = (
        compare_experiment(published("thesis-iterative", "correlation"), board(records))
        .rows[0]
        .numbers
    )
    assert said in str(number.note)
    collapsed = min(accuracies) < 0.5
    most = "at most 75.0% of a level's maps zero" if collapsed else "at most 2.5% of"
    assert most in str(number.note)


@pytest.mark.parametrize(
    ("accuracies", "reason"),
    [([0.9, 0.8], "2 levels, of which 3 are needed"), ([0.9, 0.9, 0.9], "the same at all levels")],
)
def test_too_few_or_constant_levels_have_no_correlation(
    accuracies: list[float], reason: str
) -> None:
    records = thesis(accuracies, [0.2, 0.21, 0.22][: len(accuracies)])
    found = (
        compare_experiment(published("thesis-iterative", "correlation"), board(records))
        .rows[0]
        .numbers[0]
    )
    assert found.ours is None
    assert reason in str(found.note)


def test_the_thesiss_rounds_and_weights_left_are_found() -> None:
    records = thesis([0.9] * 26, [0.2] * 26)
    beside = compare_experiment(published("thesis-iterative", "weights-left"), board(records)).rows[
        0
    ]
    assert beside.row is not None
    assert beside.row.first.round == 25
    assert numbers(beside)["left"] == pytest.approx(100 * 0.8**25, abs=1e-3)


def resnet56(pruner: str, removed: float, accuracy: float, **more: Any) -> Record:
    place = Reached(weights=removed, params=removed, channels=removed, macs=removed)
    return record(
        pruner,
        removed,
        pruner_name=pruner.partition("(")[0],
        accuracy=accuracy,
        place=place,
        conditions=CIFAR,
        **more,
    )


CIFAR = CONDITIONS.model_copy(
    update={"dataset": "parquet(path=cifar10-jpeg)", "model": "resnet56(adapt=1)"}
)


def test_our_rows_stand_among_those_of_isp_sorted_by_flops() -> None:
    records = [
        baseline(0.93, conditions=CIFAR),
        resnet56("l1-filter", 0.515, 0.92),
        resnet56("fpgm(target=macs)", 0.3, 0.925),
        resnet56("fpgm(target=macs)", 0.6, 0.90),
        record("masked", 0.5, axis="masked", conditions=CIFAR),
    ]
    compared = compare_experiment(published("isp", "cifar10-resnet56"), board(records))
    assert compared.state == "similar rows only"  # JPEGs of the work's data
    fpgm = of(compared, "FPGM")
    assert fpgm.row is not None
    assert fpgm.row.pruned == pytest.approx(0.6)  # 52.6% were published
    assert numbers(fpgm)["change"] == pytest.approx(-3.0)
    assert numbers(fpgm)["baseline"] == pytest.approx(93.0)
    assert of(compared, "HRank").row is None
    table = make_table(compared)
    flops = [float(row.cells[-1].rstrip("%")) for row in table.rows]
    assert flops == sorted(flops)
    assert [row.label for row in table.rows if row.ours] == [
        "resnet56, fpgm(target=macs), 30%",
        "resnet56, l1-filter, 51.5%",
        "resnet56, fpgm(target=macs), 60%",
    ]
    assert len(table.rows) == 8 + 3
    assert "data: parquet(path=cifar10-jpeg) (CIFAR-10 there)" in table.common


def test_our_isp_would_stand_beside_theirs() -> None:
    records = [
        baseline(0.93, conditions=CIFAR),
        resnet56("isp(predictor={epochs: 300})", 0.5, 0.931),
    ]
    beside = of(compare_experiment(published("isp", "cifar10-resnet56"), board(records)), "ISP")
    assert not beside.exact
    assert numbers(beside)["change"] == pytest.approx(0.1)


def test_the_distilled_student_stands_beside_the_published_one() -> None:
    teacher = CONDITIONS.model_copy(update={"dataset": "cifar10", "model": "wrn-28-10"})
    maps = {
        name: Value(mean=mean)
        for name, mean in (("average_drop/cam", 0.1), ("coherency_ssim/cam", 0.6))
    }
    student = record(
        "distillation(student=resnet18)",
        None,
        axis="none",
        pruner_name="distillation",
        conditions=teacher,
        values=maps,
    )
    records = [baseline(0.95, conditions=teacher, values=maps), student]
    first, second = compare_experiment(published("kd-explainability", "maps"), board(records)).rows
    assert first.row is not None
    assert first.row.first.role == "baseline"
    assert second.row is not None
    assert second.row.first is student
    assert numbers(second)["average_drop"] == pytest.approx(10.0)
    assert numbers(second)["complexity"] is None
    # Without a distilled network, a teacher alone is not the experiment.
    alone = compare_experiment(published("kd-explainability", "maps"), board(records[:1]))
    assert alone.state == "not run yet"


@pytest.mark.slow
def test_every_published_number_is_on_the_page(tmp_path: Path) -> None:
    for records in ([], read_records(REPOSITORY / "leaderboard" / "results")):
        papers_page.write(board(records), tmp_path)
        page = (tmp_path / "papers.html").read_text(encoding="utf-8")
        cells = [unescape(text) for text in re.findall(r'<td class="number">([^<]*)<', page)]
        for work in WORKS.values():
            for each in work.experiments:
                for row in each.rows:
                    for value in row.values.values():
                        text = value.words if isinstance(value, Words) else value
                        assert text in cells, (each.name, row.label)
        assert page.count("<caption>") == page.count("<table>") > 10
        assert "<script>" not in page  # none inline
        assert not re.search(r"\son\w+=", page)


@pytest.mark.slow
def test_real_records_are_compared_without_claiming_more_than_they_are() -> None:
    sections = board(read_records(REPOSITORY / "leaderboard" / "results"))
    compared = compare_works(WORKS, sections)
    assert set(compared) == set(WORKS)
    for each in [c for found in compared.values() for c in found]:
        for beside in each.rows:
            if beside.row is not None and not beside.exact:
                assert beside.why, "a similar row says what differs"


def test_text_of_records_is_escaped(tmp_path: Path) -> None:
    nasty = '"><img src=x onerror=alert(1)></script>'
    conditions = CIFAR.model_copy(update={"target_layer": nasty, "recovery": {"epochs": nasty}})
    records = [
        baseline(0.93, conditions=conditions, id="b"),
        record(
            f"hrank{nasty}",
            0.5,
            pruner_name="hrank",
            conditions=conditions,
            id="r",
            flags=(nasty,),
        ),
    ]
    papers_page.write(board(records), tmp_path)
    page = (tmp_path / "papers.html").read_text(encoding="utf-8")
    assert "onerror" in page
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script")
