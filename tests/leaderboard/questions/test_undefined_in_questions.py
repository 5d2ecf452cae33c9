from __future__ import annotations

import pytest
from synthetic import CONDITIONS, baseline, control, record
from test_questions import UP, networks

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.agreement import compare_orders
from prunebench.leaderboard.questions.between_sections import compare_by_condition
from prunebench.leaderboard.questions.training import find_training_drops, list_training_drops
from prunebench.leaderboard.questions.within_sections import compare_by_method
from prunebench.record import Record, Value

CAMS = ("a-cam", "b-cam", "c-cam")
SCORES = {**{p: (*m, m[0] - 0.01) for p, m in UP.items()}, "w": (0.2, 0.4, 0.3)}


def changed(records: list[Record], pruner: str, cam: str, value: Value | None) -> list[Record]:
    """The records with another value of one pruner, or without it."""
    name = f"sp2ps/{cam}"
    return [
        each
        if each.pruner != pruner
        else each.model_copy(
            update={
                "values": {
                    **{k: v for k, v in each.values.items() if k != name},
                    **({name: value} if value else {}),
                }
            }
        )
        for each in records
    ]


def seen(defined: int) -> Value:
    """A value that is defined on some of 100 images."""
    return Value(
        mean=0.6, low=0.59, high=0.61, interval="images", n=defined, undefined=100 - defined
    )


def compared(records: list[Record]) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (each.first.name[-5], each.second.name[-5]): dict(each.left_out)
        for each in compare_by_method(board(records)).comparisons
    }


def test_what_one_row_lacks_removes_its_pruner_from_the_pairs_that_ask_for_it() -> None:
    assert compared(changed(networks(SCORES, CAMS), "w", "b-cam", None)) == {
        ("a", "b"): {"w": "a level has no sp2ps/b-cam"},
        ("a", "c"): {},
        ("b", "c"): {"w": "a level has no sp2ps/b-cam"},
    }


def test_what_a_control_lacks_removes_the_pairs_that_ask_for_it() -> None:
    records = changed(networks(SCORES, CAMS), "none", "b-cam", None)
    assert compared(records) == {("a", "c"): {}}
    (gap,) = compare_by_method(board(records)).gaps
    assert gap.reason == "the `none` control has no sp2ps/b-cam: not measured"


def test_a_value_undefined_on_many_images_is_not_compared() -> None:
    found = compared(changed(networks(SCORES, CAMS), "w", "b-cam", seen(94)))
    assert found["a", "c"] == {}
    assert found["a", "b"] == {"w": "at a level sp2ps/b-cam is not defined on 6% of images"}
    assert not any(compared(changed(networks(SCORES, CAMS), "w", "b-cam", seen(95))).values())


def test_a_control_undefined_on_many_images_is_not_compared() -> None:
    records = changed(networks(SCORES, CAMS), "none", "b-cam", seen(94))
    assert list(compared(records)) == [("a", "c")]
    (gap,) = compare_by_method(board(records)).gaps
    assert gap.reason == "sp2ps/b-cam of the `none` control is not defined on 6% of images"


def test_too_few_pruners_are_told_with_those_left_out() -> None:
    records = changed(
        networks({p: m[:2] for p, m in SCORES.items() if p != "w"}), "x", "b-cam", None
    )
    (gap,) = compare_by_method(board(records)).gaps
    assert gap.reason == "2 pruners can be compared, and it takes 3"
    assert gap.left_out == {"x": "a level has no sp2ps/b-cam"}


@pytest.mark.parametrize("pruner", ["w", "none"])
def test_between_layers_too_much_undefined_is_not_compared(pruner: str) -> None:
    sides = []
    for layer, turned in (("one", False), ("two", True)):
        conditions = CONDITIONS.model_copy(update={"target_layer": layer})
        scores = {p: m[turned : turned + 1] for p, m in SCORES.items()}
        sides.append(networks(scores, CAMS[:1], conditions=conditions, protocol=f"p-{layer}"))
    answer = compare_by_condition(
        board([*sides[0], *changed(sides[1], pruner, "a-cam", seen(90))]), "target_layer"
    )
    if pruner == "none":
        assert answer.comparisons == ()
        assert "not defined on 10% of images" in answer.gaps[0].reason
    else:
        (found,) = answer.comparisons
        assert found.left_out == {"w": "at a level sp2ps/a-cam is not defined on 10% of images"}


def test_elsewhere_what_is_undefined_is_compared() -> None:
    (section,) = board(changed(networks(SCORES, CAMS), "w", "b-cam", seen(90)))
    found = compare_orders(section.rows, "dense", ["sp2ps/a-cam", "sp2ps/b-cam"])
    assert found is not None
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("pruner", "who"), [("none", "the `none` control"), ("x", "l1-filter 50%")]
)
def test_training_alone_is_no_share_of_what_is_undefined(pruner: str, who: str) -> None:
    cams = dict.fromkeys(CAMS[:2], 0.8)
    records = [
        baseline(sp2ps=dict.fromkeys(CAMS[:2], 1.0)),
        control({"a-cam": 0.9, "b-cam": 0.96}),
        record("x", 0.5, sp2ps=cams),
        record("y", 0.5, sp2ps=cams),
    ]
    sections = board(changed(records, pruner, "a-cam", seen(90)))
    first, second = find_training_drops(sections[0])
    assert first.reason == f"sp2ps/a-cam of {who} is not defined on 10% of images"
    assert [part.share for part in (first.every, first.lightest, first.heaviest)] == [None] * 3
    assert second.reason is None
    (found,) = list_training_drops(sections)
    assert found.telling == (second,)
    assert (found.drop, found.share) == pytest.approx((0.04, 0.2))


def test_without_a_defined_line_no_training_counts() -> None:
    records = [baseline(), control(0.9), record("x", 0.5)]
    (found,) = list_training_drops(board(changed(records, "none", "grad-cam", seen(90))))
    assert not found.counts
