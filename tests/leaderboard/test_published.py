"""Published numbers beside ours: the nearest row, what differs, and nothing made up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.compare import (
    ComparedExperiment,
    Counterpart,
    compare_experiment,
)
from prunebench.leaderboard.site.papers.page import make_view
from prunebench.record import Conditions, Record


def experiment(**changes: Any) -> PublishedExperiment:
    """A table of two rows about the digits."""
    content: dict[str, Any] = {
        "name": "one",
        "title": "One table",
        "source": "table 1",
        "conditions": {
            "dataset": "Digits",
            "model": "Its network",
            "recovery": {"epochs": 2, "lr": 1e-3},
            "explained_images": 500,
        },
        "quantities": {
            "drop": {"title": "acc_drop", "unit": "percent", "ours": "accuracy_drop"},
            "maps": {"title": "Sp2PS_drop", "unit": "percent", "ours": "1 - sp2ps/grad-cam"},
        },
        "nearest": "drop",
        "ours": {"datasets": ["digits"], "models": ["digits-cnn"], "pruners": ["l1-filter"]},
        "rows": [
            {"label": "mild", "values": {"drop": "1.00%", "maps": "5.04%"}},
            {"label": "hard", "values": {"drop": "6.77%", "maps": "39.36%"}},
        ],
    }
    return PublishedExperiment.model_validate(content | changes)


def suite(losses: Sequence[float] = (0.0, 0.02, 0.06), **fields: Any) -> list[Record]:
    """A baseline at 90%, the control, and one level for each loss of accuracy."""
    levels = [
        record(
            "l1-filter",
            0.2 + 0.1 * index,
            accuracy=0.9 - loss,
            sp2ps=0.9 - loss,
            **fields,
        )
        for index, loss in enumerate(losses)
    ]
    return [baseline(0.9, **fields), control(**fields), *levels]


def other(
    conditions: dict[str, Any], losses: Sequence[float] = (0.01,), **more: Any
) -> list[Record]:
    """The same under other conditions, so of another protocol."""
    changed = Conditions.model_validate(CONDITIONS.model_dump() | conditions)
    return suite(losses, conditions=changed, protocol="p2", **more)


def of(compared: ComparedExperiment, label: str) -> Counterpart:
    return next(beside for beside in compared.rows if beside.published.label == label)


def numbers(beside: Counterpart) -> dict[str, float | None]:
    return {number.key: number.ours for number in beside.numbers}


def test_the_nearest_level_stands_beside_and_nothing_is_interpolated() -> None:
    compared = compare_experiment(experiment(), board(suite()))
    assert compared.state == "run"
    mild, hard = of(compared, "mild"), of(compared, "hard")
    # 1.00 lies between 0 and 2 points: one of the two is taken, with its own heatmaps.
    assert numbers(mild)["drop"] in (pytest.approx(0.0), pytest.approx(2.0))
    assert numbers(hard) == {"drop": pytest.approx(6.0), "maps": pytest.approx(16.0)}
    by_key = {number.key: number for number in hard.numbers}
    assert by_key["maps"].difference == pytest.approx(16.0 - 39.36)
    assert hard.why == ("the nearest level of ours has acc_drop 6.00% (6.77% there)",)


def test_a_complement_has_its_interval_turned_round() -> None:
    hard = of(compare_experiment(experiment(), board(suite())), "hard")
    maps = next(number for number in hard.numbers if number.key == "maps")
    assert maps.low == pytest.approx(15.0)
    assert maps.high == pytest.approx(17.0)


def test_equal_conditions_differ_in_nothing() -> None:
    exact = experiment(rows=[{"label": "a", "values": {"drop": "2.00%", "maps": "12%"}}])
    assert of(compare_experiment(exact, board(suite())), "a").why == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recovery": {"epochs": 1, "lr": 1e-3}}, "fine-tuning epochs 1 (2 there)"),
        ({"recovery": None}, "no training after compression"),
        ({"explained_images": 1000}, "1,000 images explained (500 there)"),
        ({"dataset": "digits(root=copy)"}, "data: digits(root=copy) (Digits there)"),
        ({"class_policy": "own"}, "class explained: own (baseline there)"),
        ({"target_layer": "features.2"}, "layer explained: features.2 (features.5 there)"),
    ],
)
def test_conditions_that_differ_are_said(changes: dict[str, Any], said: str) -> None:
    stated = experiment().conditions.model_dump()
    stated |= {"class_policy": "baseline", "target_layer": "features.5"}
    ours = {"datasets": ["digits", "digits(*)"], "models": ["digits-cnn"], "pruners": []}
    if "dataset" in changes:
        ours["datasets"] = ["mnist", "digits*"]
    rows = [{"label": "a", "values": {"drop": "1.00%"}}]
    one = experiment(conditions=stated, ours=ours, rows=rows)
    assert of(compare_experiment(one, board(other(changes))), "a").why == (said,)


def test_baselines_and_seeds_that_differ_are_said() -> None:
    stated = experiment().conditions.model_dump() | {"baseline_accuracy": "93.78%", "seeds": 3}
    rows = [{"label": "a", "values": {"drop": "2.00%"}}]
    one = experiment(conditions=stated, rows=rows)
    why = of(compare_experiment(one, board(suite())), "a").why
    assert why == ("baseline accuracy 90.00% (93.78% there)", "1 seed (3 there)")
    missing = of(compare_experiment(one, board(suite(seeds=(0, 1, 2)))), "a").why
    assert "1 of 3 seeds" in missing


def test_similar_rows_stand_beside_only_where_there_are_none_of_the_same() -> None:
    similar = [{"datasets": ["digits"], "models": ["*"], "pruners": ["l1-filter"]}]
    one = experiment(similar=similar)
    elsewhere = other({"model": "resnet20(deep)"}, losses=(0.01, 0.0677))
    compared = compare_experiment(one, board(elsewhere))
    assert compared.state == "similar rows only"
    assert "another network: resnet20 (Its network there)" in of(compared, "mild").why
    assert not of(compared, "mild").exact
    both = compare_experiment(one, board([*suite(), *elsewhere]))
    assert both.state == "run"
    assert all(beside.exact for beside in both.rows)
    assert compare_experiment(experiment(), board(elsewhere)).state == "not run yet"


def test_a_copy_of_the_data_makes_rows_similar_not_the_same() -> None:
    ours = {"datasets": ["digits", "copies*"], "models": ["digits-cnn"], "pruners": ["l1-filter"]}
    copied = compare_experiment(
        experiment(ours=ours), board(other({"dataset": "copies(of=digits)"}))
    )
    assert copied.state == "similar rows only"
    assert not of(copied, "mild").exact
    assert "data: copies(of=digits) (Digits there)" in of(copied, "mild").why
    assert compare_experiment(experiment(ours=ours), board(suite())).state == "run"


def test_a_level_that_meets_the_published_one_does_not_bring_its_protocol_forward() -> None:
    rows = [{"label": "a", "values": {"drop": "2.00%", "maps": "5.04%"}}]
    apart = suite((0.3,))
    meeting = other({"explained_images": 100}, losses=(0.02,))
    beside = of(compare_experiment(experiment(rows=rows), board([*apart, *meeting])), "a")
    assert beside.row is not None
    assert beside.row.first.protocol == apart[0].protocol
    # Where as much differs, it is not the nearer number that decides, but the protocol's name.
    far = other({"explained_images": 50}, losses=(0.3,))
    far = [one.model_copy(update={"protocol": "a1"}) for one in far]
    beside = of(compare_experiment(experiment(rows=rows), board([*far, *meeting])), "a")
    assert numbers(beside)["drop"] == pytest.approx(30.0)


def test_the_column_that_chose_the_level_is_no_result() -> None:
    compared = compare_experiment(experiment(), board(suite()))
    lines = {line.title: line.difference for line in make_view(compared).groups[1].lines}
    assert lines == {"acc_drop": "chosen by this", "Sp2PS_drop": "−23.36"}


def test_the_experiments_own_suite_comes_first_and_flattering_numbers_do_not_count() -> None:
    own = [
        found.model_copy(update={"suite": "papers-digits"})
        for found in other({"explained_images": 100}, losses=(0.3,))
    ]
    flattering = suite((0.01, 0.0677))
    one = experiment(suite="benchmarks/papers/digits.yaml")
    compared = compare_experiment(one, board([*flattering, *own]))
    assert all(b.row and b.row.first.suite == "papers-digits" for b in compared.rows)
    # A suite reduced from it comes before others, one that is only called alike does not.
    for name, first in (("papers-digits-small", True), ("papers-digits2", False)):
        reduced = [found.model_copy(update={"suite": name}) for found in own]
        compared = compare_experiment(one, board([*flattering, *reduced]))
        assert all(b.row and (b.row.first.suite == name) is first for b in compared.rows)
    # Without a suite of its own, the protocol that differs less is taken, not the nearer number.
    nearer = other({"explained_images": 100}, losses=(0.01, 0.0677))
    compared = compare_experiment(experiment(), board([*suite((0.3,)), *nearer]))
    assert numbers(of(compared, "mild"))["drop"] == pytest.approx(30.0)


def test_what_was_not_run_says_so() -> None:
    compared = compare_experiment(experiment(suite="benchmarks/papers/x.yaml"), ())
    assert compared.state == "not run yet"
    assert of(compared, "mild").why == ("not run yet: benchmarks/papers/x.yaml",)
    assert of(compared, "mild").row is None
    assert [number.printed for number in of(compared, "mild").numbers] == ["1.00%", "5.04%"]
    assert of(compare_experiment(experiment(), ()), "mild").why == (
        "not run yet: no suite repeats it so far",
    )


def test_a_method_nobody_has_here_is_not_matched_by_another() -> None:
    rows = [
        {"label": "SCP", "pruners": [], "values": {"drop": "1.00%"}},
        {"label": "FPGM", "pruners": ["fpgm"], "values": {"drop": "1.00%"}},
        {"label": "no level", "values": {"maps": "5.04%"}},
    ]
    compared = compare_experiment(experiment(rows=rows), board(suite()))
    assert of(compared, "SCP").why == ("no compressor of this kind here",)
    assert of(compared, "FPGM").why == ("not run yet: no suite repeats it so far",)
    assert of(compared, "no level").why == (
        "the source gives no acc_drop by which to find the level",
    )
    assert compared.state == "not run yet"


def test_a_baseline_stands_beside_a_baseline() -> None:
    quantities = {"accuracy": {"title": "accuracy", "unit": "percent", "ours": "accuracy"}}
    rows = [{"label": "before", "role": "baseline", "values": {"accuracy": "93.78%"}}]
    one = experiment(quantities=quantities, nearest=None, rows=rows)
    before = of(compare_experiment(one, board(suite())), "before")
    assert numbers(before) == {"accuracy": pytest.approx(90.0)}
    assert before.why == ()


def test_a_value_that_was_not_measured_has_its_reason() -> None:
    quantities = experiment().model_dump()["quantities"] | {
        "pe": {"title": "PE_drop", "unit": "percent", "ours": "1 - pe_score/grad-cam"},
        "free": {"title": "Nothing of ours"},
    }
    rows = [{"label": "a", "values": {"drop": "2%", "pe": "15%", "free": "3"}}]
    found = of(
        compare_experiment(experiment(quantities=quantities, rows=rows), board(suite())), "a"
    ).numbers
    assert {number.key: number.note for number in found if number.ours is None} == {
        "pe": "not measured",
        "free": "nothing of ours answers it",
    }


def test_the_order_of_records_changes_nothing() -> None:
    records = [*suite(), *other({"explained_images": 100})]
    first = compare_experiment(experiment(), board(records))
    random.Random(0).shuffle(records)
    assert compare_experiment(experiment(), board(records)) == first
