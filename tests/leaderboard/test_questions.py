from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from synthetic import CONDITIONS, baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.questions import between, within
from prunebench.leaderboard.questions.between import by_condition
from prunebench.leaderboard.questions.within import by_measure, by_method, by_variant
from prunebench.record import Record, Value

CAMS = ("a-cam", "b-cam")
Scores = Mapping[str, tuple[float, ...]]
UP: Scores = {"x": (0.9, 0.3), "y": (0.7, 0.5), "z": (0.5, 0.7)}


def kept(mean: float, half_width: float = 0.01) -> Value:
    return Value(mean=mean, low=mean - half_width, high=mean + half_width, interval="images", n=9)


def networks(scores: Scores, cams: tuple[str, ...] = CAMS, **fields: Any) -> list[Record]:
    """A section with one level of each pruner, at 50%, with its Sp2PS under each method."""
    common = {"protocol": fields.pop("protocol", "p1"), **fields}
    half_width = common.pop("half_width", 0.01)
    keys = common.pop("keys", lambda pruner: {"network": f"key of {pruner}"})
    return [
        baseline(sp2ps=dict.fromkeys(cams, 1.0), keys=keys("baseline"), **common),
        control(dict.fromkeys(cams, 0.99), keys=keys("none"), **common),
        *(
            record(
                pruner,
                0.5,
                sp2ps=dict(zip(cams, means, strict=True)),
                half_width=half_width,
                keys=keys(pruner),
                **common,
            )
            for pruner, means in scores.items()
        ),
    ]


def at(condition: str, value: str, first: bool, **fields: Any) -> list[Record]:
    """The networks of ``UP`` explained otherwise: in the order of its first or second column."""
    scores = {pruner: (means[0 if first else 1],) for pruner, means in UP.items()}
    given = CONDITIONS.model_copy(update={condition: value})
    return networks(scores, ("a-cam",), conditions=given, protocol=f"p-{value}", **fields)


def test_an_order_that_is_reversed_is_told() -> None:
    answer = by_method(board(networks(UP)))
    (found,) = answer.comparisons
    assert found.tau == pytest.approx(-1)
    assert (found.swaps.told, found.swaps.turned) == (3, 3)
    assert (answer.told, answer.turned) == (3, 3)
    assert not found.stays
    assert found.changes_beyond_noise
    assert found.at == 0.5


def test_pruners_whose_intervals_overlap_are_not_reversed() -> None:
    # The second method turns y and z round, but by less than their intervals.
    scores = {"x": (0.9, 0.9), "y": (0.7, 0.50), "z": (0.5, 0.51)}
    (found,) = by_method(board(networks(scores))).comparisons
    assert found.tau == pytest.approx(1 / 3)
    assert (found.swaps.told, found.swaps.turned) == (2, 0)
    scores = {"x": (0.90, 0.89), "y": (0.89, 0.90), "z": (0.5, 0.5)}
    (found,) = by_method(board(networks(scores))).comparisons
    assert not found.stays
    assert not found.changes_beyond_noise


def without_intervals(*pruners: str) -> list[Record]:
    return [
        each
        if each.pruner not in pruners
        else each.model_copy(
            update={"values": {n: Value(mean=v.mean, n=v.n) for n, v in each.values.items()}}
        )
        for each in networks(UP)
    ]


@pytest.mark.parametrize(("bare", "told"), [("x", 1), ("y", 1), ("z", 1), ("xyz", 0), ("", 3)])
def test_values_without_intervals_tell_nothing_apart(bare: str, told: int) -> None:
    (found,) = by_method(board(without_intervals(*bare))).comparisons
    assert found.tau == pytest.approx(-1)
    assert found.swaps.told == found.swaps.turned == told
    assert found.changes_beyond_noise == (not set(bare) & {"x", "z"})


def test_maps_drawn_by_chance_are_no_explanation() -> None:
    answer = by_method(board(networks(UP, ("a-cam", "random-cam"))))
    assert answer.comparisons == ()
    assert "fewer than two explanation methods" in answer.gaps[0].reason


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (networks(UP)[2:], "no `none` control"),
        (networks(UP, seeds=(0, 1)), "1 of 2 seeds"),
        (networks({"x": (0.9, 0.3), "y": (0.7, 0.5)}), "2 pruners can be compared"),
        (networks({"x": (0.9, 0.3)}), "fewer than 2 pruners"),
    ],
)
def test_a_gap_says_what_is_missing(records: list[Record], reason: str) -> None:
    answer = by_method(board(records))
    assert answer.comparisons == ()
    (gap,) = answer.gaps
    assert reason in gap.reason


def test_too_many_methods_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(within, "MOST_ORDERS", 2)
    cams = ("a", "b", "c", "d")
    scores = {pruner: (*means, 0.1, 0.2) for pruner, means in UP.items()}
    answer = by_method(board(networks(scores, cams)))
    assert len(answer.comparisons) == 1
    assert answer.unmade == 5


@pytest.mark.parametrize("condition", ["target_layer", "class_policy"])
def test_the_same_networks_are_compared_between_conditions(condition: Any) -> None:
    sections = board([*at(condition, "one", True), *at(condition, "two", False)])
    (found,) = by_condition(sections, condition).comparisons
    assert (found.first.name, found.second.name) == ("one", "two")
    assert found.cam == "a-cam"
    assert found.tau == pytest.approx(-1)
    assert (found.swaps.told, found.swaps.turned) == (3, 3)
    assert [list(each.heights) for each in (found.first, found.second)] == [
        ["x", "y", "z"],
        ["z", "y", "x"],
    ]
    other = "class_policy" if condition == "target_layer" else "target_layer"
    assert by_condition(sections, other).comparisons == ()  # type: ignore[arg-type]


def compare_layers(first: list[Record], second: list[Record]) -> Any:
    return by_condition(board([*first, *second]), "target_layer")


def keys(other: str | None) -> Any:
    return lambda pruner: {"network": "another" if pruner == other else f"key of {pruner}"}


def test_other_networks_of_the_same_name_are_not_compared() -> None:
    first = at("target_layer", "one", True)
    answer = compare_layers(first, at("target_layer", "two", False, keys=keys("y")))
    assert answer.comparisons == ()
    assert answer.gaps[0].reason.startswith("of the same networks, 2 pruners can be compared")
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
    monkeypatch.setattr(between, "MOST_SECTIONS", 2)
    names = ("a", "b", "c", "d")
    records = [r for i, name in enumerate(names) for r in at("target_layer", name, i % 2 == 0)]
    answer = by_condition(board(records), "target_layer")
    assert len(answer.comparisons) == 1
    assert answer.unmade == 5


def measured(**measures: dict[str, float]) -> list[Record]:
    """The networks of ``UP`` under one method, with more measures by pruner."""
    found = []
    for each in networks({p: m[:1] for p, m in UP.items()}, ("a-cam",)):
        more = {f"{m}/a-cam": kept(by.get(each.pruner, 1.0)) for m, by in measures.items()}
        found.append(each.model_copy(update={"values": {**each.values, **more}}))
    return found


def test_variants_are_compared_with_what_they_are_variants_of() -> None:
    same = {"x": 0.8, "y": 0.6, "z": 0.4}
    turned = {"x": 0.4, "y": 0.6, "z": 0.8}
    sections = board(
        measured(ssim=same, ssim_uniform=turned, sp2ps_jet=same, sam_jet=turned, soft_iou=turned)
    )
    found = {
        (each.first.name, each.second.name): each.tau for each in by_variant(sections).comparisons
    }
    assert found == {
        ("sp2ps/a-cam", "ssim/a-cam"): pytest.approx(1),
        ("ssim/a-cam", "ssim_uniform/a-cam"): pytest.approx(-1),
        ("sp2ps/a-cam", "sp2ps_jet/a-cam"): pytest.approx(1),
        ("sp2ps/a-cam", "sam_jet/a-cam"): pytest.approx(-1),  # no sam beside it
    }
    (other,) = by_measure(sections).comparisons
    assert other.second.name == "soft_iou/a-cam"
    assert other.changes_beyond_noise


def test_the_least_agreeing_comparison_comes_first() -> None:
    scores = {"x": (0.9, 0.9, 0.5), "y": (0.7, 0.5, 0.5), "z": (0.5, 0.7, 0.5)}
    answer = by_method(board(networks(scores, ("a", "b", "c"))))
    assert [each.tau for each in answer.comparisons] == [pytest.approx(1 / 3), None, None]
    assert answer.taus == [pytest.approx(1 / 3)]
