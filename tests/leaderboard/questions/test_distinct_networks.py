from __future__ import annotations

from typing import Any

import pytest
from synthetic import CONDITIONS, record
from test_questions import CAMS, UP, Scores, networks

from prunebench.leaderboard.board import board
from prunebench.leaderboard.questions.between_sections import compare_by_condition
from prunebench.leaderboard.questions.networks import group_by_networks
from prunebench.leaderboard.questions.training import list_training_drops
from prunebench.leaderboard.questions.within_sections import compare_by_method
from prunebench.leaderboard.site.questions.text import make_sentence
from prunebench.record import Record

SAME: Scores = {pruner: (means[0], means[0] - 0.01) for pruner, means in UP.items()}
MANY = ("a-cam", "b-cam", "c-cam")


def section(layer: str, scores: Scores = UP, cams: tuple[str, ...] = CAMS, **f: Any) -> Any:
    """The networks of ``UP`` explained at a layer, which has a protocol of its own."""
    conditions = CONDITIONS.model_copy(update={"target_layer": layer})
    return networks(scores, cams, conditions=conditions, protocol=f"p-{layer}", **f)


def named(prefix: str) -> Any:
    return lambda pruner: {"network": f"{prefix} of {pruner}"}


def sets(*sections: list[Record]) -> list[list[str]]:
    found = group_by_networks(board([each for records in sections for each in records]))
    return [[each.first.protocol for each in same] for same in found]


def test_of_the_same_networks_that_with_most_values_is_first_then_by_protocol() -> None:
    more = section("c", {p: (*means, 0.5) for p, means in UP.items()}, MANY)
    assert sets(section("b"), section("a"), more) == [["p-c", "p-a", "p-b"]]
    assert sets(section("b"), section("a", keys=named("other"))) == [["p-a"], ["p-b"]]


def test_a_section_of_some_of_the_networks_is_no_set_of_its_own() -> None:
    fewer = section("a", {p: UP[p] for p in ("x", "y")})
    assert sets(fewer, section("b")) == [["p-b", "p-a"]]
    another = section("a", {**UP, "w": (0.1, 0.2)}, keys=named("other"))
    assert sets(another, section("b")) == [["p-a"], ["p-b"]]


@pytest.mark.parametrize("key", [{}, {"network": None}, {"network": ""}, {"network": ["a"]}])
def test_networks_that_are_not_known_are_a_set_of_their_own(key: dict[str, Any]) -> None:
    def keys(pruner: str) -> dict[str, Any]:
        return key if pruner == "y" else {"network": pruner}

    assert sets(section("a", keys=keys), section("b", keys=keys)) == [["p-a"], ["p-b"]]


def test_a_section_whose_values_are_all_equal_leaves_the_answer_to_the_next() -> None:
    equal: Scores = {pruner: (means[0], means[0]) for pruner, means in UP.items()}
    answer = compare_by_method(board([*section("a", equal), *section("b", SAME)]))
    assert [each.sections[0].first.protocol for each in answer.counting] == ["p-b"]
    assert answer.equal == 1
    assert make_sentence(answer).endswith("This rests on one set of networks, under 3 seeds.")


def test_the_same_networks_are_heard_once() -> None:
    records = [*section("a"), *section("b", SAME), *section("c", SAME)]
    answer = compare_by_method(board(records))
    assert [(each.sections[0].first.protocol, each.counts) for each in answer.comparisons] == [
        ("p-a", True),
        ("p-b", False),
        ("p-c", False),
    ]
    assert (answer.separated, answer.reversed) == (3, 3)
    assert answer.taus == [pytest.approx(-1)]
    assert answer.seeds == (3,)
    others = compare_by_method(board([*records, *section("d", SAME, keys=named("other"))]))
    assert [each.counts for each in others.comparisons] == [True, True, False, False]
    assert (others.separated, others.reversed) == (6, 3)
    assert others.seeds == (3, 3)


def test_where_the_first_cannot_answer_another_of_its_networks_does() -> None:
    lone = section("a", {p: m[:1] for p, m in UP.items()}, CAMS[:1])
    extra = [record("x", 0.9, sp2ps={}, conditions=lone[0].conditions, protocol="p-a")]
    extra = [each.model_copy(update={"keys": {"network": "one more"}}) for each in extra]
    assert sets([*lone, *extra], section("b")) == [["p-a", "p-b"]]
    (found,) = compare_by_method(board([*lone, *extra, *section("b")])).comparisons
    assert found.counts


def test_comparisons_between_sections_rest_on_one_set_of_networks() -> None:
    turned = {p: means[::-1] for p, means in UP.items()}
    sections = board([*section("a"), *section("b", turned), *section("c", SAME)])
    answer = compare_by_condition(sections, "target_layer")
    assert len(answer.counting) == len(answer.comparisons) == 5
    assert answer.equal == 1  # a and c by the first method
    assert answer.seeds == (3,)


def test_training_alone_counts_once_for_the_same_networks() -> None:
    records = [*section("a"), *section("b", SAME), *section("c", keys=named("other"))]
    found = list_training_drops(board(records))
    assert [(each.lines[0].section.first.protocol, each.counts) for each in found] == [
        ("p-a", True),
        ("p-b", False),
        ("p-c", True),
    ]
