from __future__ import annotations

from typing import Any

import pytest
from synthetic import CONDITIONS, record
from test_questions import UP, networks

from prunebench.leaderboard.board import board
from prunebench.leaderboard.questions import between_sections
from prunebench.leaderboard.questions.between_sections import compare_by_condition
from prunebench.record import Record, Value


def at(condition: str, value: str, first: bool, **fields: Any) -> list[Record]:
    """The networks of ``UP`` explained otherwise: in the order of its first or second column."""
    scores = {pruner: (means[0 if first else 1],) for pruner, means in UP.items()}
    given = CONDITIONS.model_copy(update={condition: value})
    return networks(scores, ("a-cam",), conditions=given, protocol=f"p-{value}", **fields)


@pytest.mark.parametrize("condition", ["target_layer", "class_policy"])
def test_the_same_networks_are_compared_between_conditions(condition: Any) -> None:
    sections = board([*at(condition, "one", True), *at(condition, "two", False)])
    (found,) = compare_by_condition(sections, condition).comparisons
    assert (found.first.name, found.second.name) == ("one", "two")
    assert found.cam == "a-cam"
    assert found.tau == pytest.approx(-1)
    assert (found.swaps.separated, found.swaps.reversed) == (3, 3)
    assert [list(each.heights) for each in (found.first, found.second)] == [
        ["x", "y", "z"],
        ["z", "y", "x"],
    ]
    other = "class_policy" if condition == "target_layer" else "target_layer"
    assert compare_by_condition(sections, other).comparisons == ()  # type: ignore[arg-type]


def compare_layers(first: list[Record], second: list[Record]) -> Any:
    return compare_by_condition(board([*first, *second]), "target_layer")


def keys(other: str | None) -> Any:
    return lambda pruner: {"network": "another" if pruner == other else f"key of {pruner}"}


def test_other_networks_of_the_same_name_are_not_compared() -> None:
    first = at("target_layer", "one", True)
    answer = compare_layers(first, at("target_layer", "two", False, keys=keys("y")))
    assert answer.comparisons == ()
    assert answer.gaps[0].reason.startswith("2 pruners can be compared")
    assert answer.gaps[0].left_out == {"y": "no network is the same in both"}
    answer = compare_layers(first, at("target_layer", "two", False, keys=keys("none")))
    assert answer.gaps[0].reason == "their `none` controls are not the same network"


def test_a_method_without_a_value_for_the_control_is_not_compared() -> None:
    first, second = (at("target_layer", name, name == "one") for name in ("one", "two"))
    nothing = {"sp2ps/a-cam": Value(mean=None, reason="both maps are zero")}
    values = {**second[1].values, **nothing}
    second[1] = second[1].model_copy(update={"values": values})
    answer = compare_layers(first, second)
    assert answer.comparisons == ()
    assert len(answer.gaps) == 1


@pytest.mark.parametrize("key", [{}, {"network": ""}, {"network": None}, {"network": {"a": 1}}])
def test_networks_that_are_not_known_are_not_the_same(key: dict[str, Any]) -> None:
    sides = [at("target_layer", name, name == "one", keys=lambda _: key) for name in ("one", "two")]
    answer = compare_layers(*sides)
    assert answer.comparisons == ()
    assert len(answer.gaps) == 1


def test_only_levels_that_both_have_count() -> None:
    first, second = (at("target_layer", name, name == "one") for name in ("one", "two"))
    there = first[0].conditions
    extra = record("x", 0.9, sp2ps={"a-cam": 0.1}, conditions=there, protocol="p-one")
    (found,) = compare_layers([*first, extra], second).comparisons
    assert found.at == 0.5
    assert found.first.heights["x"].value == pytest.approx(0.9)


def test_sections_that_differ_in_more_are_not_compared() -> None:
    other = CONDITIONS.model_copy(update={"target_layer": "two", "explained_images": 9})
    second = networks({p: m[:1] for p, m in UP.items()}, ("a-cam",), conditions=other, protocol="q")
    answer = compare_layers(at("target_layer", "one", True), second)
    assert (answer.comparisons, answer.gaps) == ((), ())


def test_a_method_to_which_the_layer_is_nothing_says_nothing() -> None:
    answer = compare_layers(at("target_layer", "one", True), at("target_layer", "two", True))
    assert answer.comparisons == ()
    assert answer.equal == 1


def test_many_layers_are_compared_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(between_sections, "MOST_SECTIONS", 2)
    names = ("a", "b", "c", "d")
    records = [r for i, name in enumerate(names) for r in at("target_layer", name, i % 2 == 0)]
    answer = compare_by_condition(board(records), "target_layer")
    assert len(answer.comparisons) == 1
    assert (answer.unpaired, answer.unmade) == (5, 0)


def test_many_methods_between_two_layers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(between_sections, "MOST_METHODS", 1)
    conditions = [CONDITIONS.model_copy(update={"target_layer": name}) for name in ("one", "two")]
    sides = [
        networks(UP, conditions=each, protocol=f"p-{each.target_layer}") for each in conditions
    ]
    answer = compare_layers(*sides)
    assert (answer.unpaired, answer.unmade) == (0, 1)


def plugins(records: list[Record], **versions: Any) -> list[Record]:
    told = {"plugins": {name.replace("__", "/"): v for name, v in versions.items()}}
    return [each.model_copy(update={"provenance": told}) for each in records]


@pytest.mark.parametrize(
    ("here", "there", "comparisons"),
    [
        ({"metrics__sp2ps": "1"}, {"metrics__sp2ps": "2"}, 0),
        ({"metrics__sp2ps": "1"}, {"metrics__sp2ps": "1"}, 1),
        ({"metrics__sp2ps": "1"}, {}, 1),
        ({"metrics__agreement": "1"}, {"metrics__agreement": "2"}, 1),
        ({"cams__a-cam": "1"}, {"cams__a-cam": "2"}, 0),
    ],
)
def test_another_version_is_another_condition(here: Any, there: Any, comparisons: int) -> None:
    first = plugins(at("target_layer", "one", True), **here)
    answer = compare_layers(first, plugins(at("target_layer", "two", False), **there))
    assert len(answer.comparisons) == comparisons
    assert [" of version 1 in one, 2 in the other" in gap.reason for gap in answer.gaps] == [
        True
    ] * (1 - comparisons)
