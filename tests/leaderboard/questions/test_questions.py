from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from synthetic import baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.questions import within_sections
from prunebench.leaderboard.questions.within_sections import (
    compare_by_measure,
    compare_by_method,
    compare_by_part,
    compare_by_variant,
)
from prunebench.leaderboard.site.questions.text import give_verdict, make_sentence
from prunebench.record import Record, Value

CAMS = ("a-cam", "b-cam")
Scores = Mapping[str, tuple[float, ...]]
T_OF_THREE = 4.302653 / 3**0.5
"""Half a t-interval over three seeds of deviation 1."""
UP: Scores = {"x": (0.9, 0.3), "y": (0.7, 0.5), "z": (0.5, 0.7)}


def kept(mean: float, half_width: float = 0.01) -> Value:
    return Value(mean=mean, low=mean - half_width, high=mean + half_width, interval="images", n=9)


def networks(
    scores: Scores,
    cams: tuple[str, ...] = CAMS,
    *,
    made: Sequence[int] = (0, 1, 2),
    half_width: float | Mapping[str, float] = 0.01,
    **fields: Any,
) -> list[Record]:
    """A section with one level of each pruner, at 50%, with its Sp2PS under each method.

    Three seeds deviate so that the interval over them has this half width.
    """
    common = {"protocol": "p1", "seeds": made, **fields}
    keys = common.pop("keys", lambda pruner: {"network": f"key of {pruner}"})
    found = []
    for seed in made:

        def shift(pruner: str, seed: int = seed) -> float:
            width = half_width.get(pruner, 0.01) if isinstance(half_width, Mapping) else half_width
            return width * (seed - 1) / T_OF_THREE if len(made) > 1 else 0.0

        of = {"seed": seed, **common}
        found += [
            baseline(sp2ps=dict.fromkeys(cams, 1.0), keys=keys("baseline"), **of),
            control(dict.fromkeys(cams, 0.99 + shift("none")), keys=keys("none"), **of),
            *(
                record(
                    pruner,
                    0.5,
                    sp2ps={c: m + shift(pruner) for c, m in zip(cams, means, strict=True)},
                    keys=keys(pruner),
                    **of,
                )
                for pruner, means in scores.items()
            ),
        ]
    return found


def test_an_order_that_is_reversed_is_told() -> None:
    answer = compare_by_method(board(networks(UP)))
    (found,) = answer.comparisons
    assert found.tau == pytest.approx(-1)
    assert (found.swaps.separated, found.swaps.reversed) == (3, 3)
    assert (answer.separated, answer.reversed) == (3, 3)
    assert not found.stays
    assert found.changes_beyond_noise
    assert found.at == 0.5


def test_pruners_whose_intervals_overlap_are_not_reversed() -> None:
    # The second method turns y and z round, but by less than their intervals.
    scores = {"x": (0.9, 0.9), "y": (0.7, 0.50), "z": (0.5, 0.51)}
    (found,) = compare_by_method(board(networks(scores))).comparisons
    assert found.tau == pytest.approx(1 / 3)
    assert (found.swaps.separated, found.swaps.reversed) == (2, 0)
    scores = {"x": (0.90, 0.89), "y": (0.89, 0.90), "z": (0.5, 0.5)}
    (found,) = compare_by_method(board(networks(scores))).comparisons
    assert not found.stays
    assert not found.changes_beyond_noise


@pytest.mark.parametrize(("bare", "told"), [("x", 1), ("y", 1), ("z", 1), ("xyz", 0), ("", 3)])
def test_seeds_that_agree_exactly_tell_nothing_apart(bare: str, told: int) -> None:
    (found,) = compare_by_method(
        board(networks(UP, half_width=dict.fromkeys(bare, 0.0)))
    ).comparisons
    assert found.tau == pytest.approx(-1)
    assert found.swaps.separated == found.swaps.reversed == told
    assert found.changes_beyond_noise == (not set(bare) & {"x", "z"})


@pytest.mark.parametrize("made", [(0,), (0, 1)])
def test_fewer_than_three_seeds_tell_nothing_apart(made: tuple[int, ...]) -> None:
    answer = compare_by_method(board(networks(UP, made=made)))
    assert answer.taus == [pytest.approx(-1)]
    assert (answer.separated, answer.reversed) == (0, 0)
    assert "too few to tell any pruners apart" in make_sentence(answer)
    assert give_verdict(answer) == "Cannot be told"


def test_maps_drawn_by_chance_are_no_explanation() -> None:
    answer = compare_by_method(board(networks(UP, ("a-cam", "random-cam"))))
    assert answer.comparisons == ()
    assert "fewer than two explanation methods" in answer.gaps[0].reason


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([r for r in networks(UP) if r.role == "compressed"], "no `none` control"),
        (networks(UP, made=(0,), seeds=(0, 1)), "1 of 2 seeds"),
        (networks({"x": (0.9, 0.3), "y": (0.7, 0.5)}), "2 pruners can be compared"),
        (networks({"x": (0.9, 0.3)}), "1 pruner can be compared"),
    ],
)
def test_a_gap_says_what_is_missing(records: list[Record], reason: str) -> None:
    answer = compare_by_method(board(records))
    assert answer.comparisons == ()
    (gap,) = answer.gaps
    assert reason in gap.reason


def test_too_many_methods_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(within_sections, "MOST_PAIRS", 1)
    cams = ("a", "b", "c", "d")
    scores = {pruner: (*means, 0.1, 0.2) for pruner, means in UP.items()}
    answer = compare_by_method(board(networks(scores, cams)))
    assert len(answer.comparisons) == 1
    assert answer.unmade == 5


def measured(**measures: dict[str, float]) -> list[Record]:
    """The networks of ``UP`` under one method, with more measures by pruner."""
    found = []
    for each in networks({p: m[:1] for p, m in UP.items()}, ("a-cam",)):
        shift = 0.004 * (each.seed - 1)
        more = {f"{m}/a-cam": kept(by.get(each.pruner, 1.0) + shift) for m, by in measures.items()}
        found.append(each.model_copy(update={"values": {**each.values, **more}}))
    return found


def test_variants_are_compared_with_what_they_are_variants_of() -> None:
    same = {"x": 0.8, "y": 0.6, "z": 0.4}
    turned = {"x": 0.4, "y": 0.6, "z": 0.8}
    sections = board(
        measured(ssim=same, ssim_uniform=turned, sp2ps_jet=same, sam_jet=turned, soft_iou=turned)
    )
    found = {
        (each.first.name, each.second.name): each.tau
        for each in compare_by_variant(sections).comparisons
    }
    assert found == {  # no sam beside sam_jet
        ("ssim/a-cam", "ssim_uniform/a-cam"): pytest.approx(-1),
        ("sp2ps/a-cam", "sp2ps_jet/a-cam"): pytest.approx(1),
    }
    (part,) = compare_by_part(sections).comparisons
    assert (part.first.name, part.second.name) == ("sp2ps/a-cam", "ssim/a-cam")
    assert part.tau == pytest.approx(1)
    (other,) = compare_by_measure(sections).comparisons
    assert other.second.name == "soft_iou/a-cam"
    assert other.changes_beyond_noise


def test_the_least_agreeing_comparison_comes_first() -> None:
    scores = {"x": (0.9, 0.9, 0.5), "y": (0.7, 0.5, 0.5), "z": (0.5, 0.7, 0.5)}
    answer = compare_by_method(board(networks(scores, ("a", "b", "c"))))
    assert [each.tau for each in answer.comparisons] == [pytest.approx(1 / 3), None, None]
    assert answer.taus == [pytest.approx(1 / 3)]
