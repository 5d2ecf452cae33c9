"""Rules 1, 5, 6 and 8: who is ranked, and in which places."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import baseline, control, floor, record
from worlds import FLOOR, trained_longer, training, world

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.board.protocol import Headline, Protocol
from prunebench.leaderboard.board.rank import NOT_TOLD_APART, AxisRanking, PrunerRank
from prunebench.record import Record, Value


def section(records: list[Record]) -> Section:
    """The section of the world, not that of the network trained longer."""
    return next(one for one in board(records) if one.control is not None)


def ranking(records: list[Record], axis: Any = "dense") -> AxisRanking:
    return section(records).rankings[axis]


def place(found: AxisRanking, pruner: str) -> PrunerRank:
    return next(place for place in found.places if place.pruner == pruner)


def places(found: AxisRanking) -> dict[str, tuple[int | None, int | None]]:
    return {place.pruner: (place.first, place.last) for place in found.places}


def test_scores_far_apart_have_one_place_each_and_close_ones_share_theirs() -> None:
    found = ranking(world({"a": 0.9, "b": 0.895, "c": 0.7, "d": 0.5}, noise=0.01, block=0.02))
    assert places(found) == {"a": (1, 2), "b": (1, 2), "c": (3, 3), "d": (4, 4)}
    assert found.told_apart
    assert 0 < (found.smallest_difference or 0) < 0.1


def test_a_shared_seed_effect_tells_nobody_apart_and_hides_nobody() -> None:
    # Seeds move all scores by ten times what tells the pruners apart.
    found = ranking(world({"a": 0.62, "b": 0.60}, noise=0.001, block=0.05))
    assert places(found) == {"a": (1, 1), "b": (2, 2)}


def test_what_cannot_be_told_apart_has_no_numbers() -> None:
    found = ranking(world({"a": 0.9, "b": 0.9, "c": 0.9}, noise=0.02))
    assert not found.told_apart
    assert {place.reason for place in found.places} == {NOT_TOLD_APART}
    assert all(place.first is None and place.score is not None for place in found.places)


def test_the_score_is_that_of_the_definition() -> None:
    # Half a weight at every level: (0.9 + 0.2) / 2.
    found = ranking(world({"a": 0.9, "b": 0.7}, accuracy={"a": 0.88}))
    assert place(found, "a").score == pytest.approx((0.9 + FLOOR) / 2)
    assert place(found, "b").score == pytest.approx(0.7)


def test_the_bar_is_the_better_of_baseline_and_none() -> None:
    records = world({"a": 0.9, "b": 0.7})
    lifted = [
        control(0.97, 0.95, seed=r.seed, seeds=r.seeds) if r.role == "control" else r
        for r in records
    ]
    # Fine-tuning alone reaches 95%: 90% is five points below, and counts for nothing.
    assert place(ranking(lifted), "a").score == pytest.approx(FLOOR)


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_a_rank_takes_five_seeds(seeds: int) -> None:
    found = place(ranking(world({"a": 0.9, "b": 0.5}, seeds=seeds)), "a")
    assert not found.ranked
    assert found.score == pytest.approx(0.9)
    assert found.reason == f"the baseline has {seeds} of the 5 seeds that it takes"


def test_choosing_among_ten_seeds_is_refused() -> None:
    records = world({"a": 0.9, "b": 0.5}, seeds=10)
    kept = [r for r in records if r.pruner != "a" or r.seed in (0, 2, 5, 7, 9)]
    assert places(ranking(kept))["a"] == (None, None)
    assert place(ranking(kept), "a").reason == "10% has 5 of 10 seeds"
    # Nor does it help to say that only these were planned.
    renamed = [
        r.model_copy(update={"seeds": (0, 2, 5, 7, 9)}) if r.pruner == "a" else r for r in kept
    ]
    reason = place(ranking(renamed), "a").reason or ""
    assert reason.startswith("10% has the seeds 0, 2, 5, 7, 9; expected 0 to 4")


def test_levels_that_do_not_cover_the_grid_are_named() -> None:
    records = world({"a": 0.9, "b": 0.8}) + [
        record("c", level, seed=seed, seeds=range(5), sp2ps=0.99)
        for seed in range(5)
        for level in (0.1, 0.2)
    ]
    found = place(ranking(records), "c")
    assert (found.ranked, found.missing) == (False, (0.3, 0.4, 0.5))
    assert found.reason == "its levels do not cover 30%, 40%, 50%"


def test_levels_that_are_not_the_protocols_do_not_count() -> None:
    records = world({"a": 0.9, "b": 0.8})
    extra = [record("a", 0.15, seed=s, seeds=range(5), sp2ps=1.0) for s in range(5)]
    assert ranking([*records, *extra]) == ranking(records)


def test_a_failed_network_scores_what_random_weights_do() -> None:
    records = world({"a": 0.9, "b": 0.8})
    failed = [
        r.model_copy(update={"values": {}, "failure": "the loss became NaN"})
        if (r.pruner, r.level, r.seed) == ("a", 0.5, 3)
        else r
        for r in records
    ]
    found = section(failed).rankings["dense"]
    assert found.grid == (0.1, 0.2, 0.3, 0.4, 0.5)
    # One of 25 cells keeps the floor.
    assert place(found, "a").score == pytest.approx(0.9 - (0.9 - FLOOR) / 25)
    row = next(r for r in section(failed).rows if r.first.pruner == "a" and r.first.level == 0.5)
    assert (
        row.get("accuracy").reason == "seed 3: the network could not be made: the loss became NaN"
    )


def test_a_network_whose_outputs_are_no_numbers_scores_the_same() -> None:
    nothing = {
        name: Value(mean=None, reason="outputs are NaN") for name in ("accuracy", "sp2ps/grad-cam")
    }
    records = [
        r.model_copy(update={"values": nothing}) if (r.pruner, r.level) == ("a", 0.5) else r
        for r in world({"a": 0.9, "b": 0.8})
    ]
    assert place(ranking(records), "a").score == pytest.approx((4 * 0.9 + FLOOR) / 5)


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("control", "no `none` control to start from"),
        ("floor", "no maps under random weights were measured"),
    ],
)
def test_without_a_control_there_is_no_score(role: str, reason: str) -> None:
    records = [r for r in world({"a": 0.9, "b": 0.5}) if r.role != role]
    found = next(one for one in board(records) if one.rankings).rankings["dense"]
    assert {(place.score, place.reason) for place in found.places} == {(None, reason)}


def test_undefined_maps_keep_a_pruner_from_being_ranked() -> None:
    def undefined(one: Record) -> Record:
        value = Value(
            mean=0.9, low=0.9, high=0.9, interval="bootstrap over images", n=90, undefined=10
        )
        return one.model_copy(update={"values": {**one.values, "sp2ps/grad-cam": value}})

    records = [
        undefined(r) if r.pruner == "a" else r for r in world({"a": 0.9, "b": 0.7, "c": 0.5})
    ]
    found = place(ranking(records), "a")
    assert found.reason == "10%: sp2ps/grad-cam is not defined on 10% of images"
    assert not found.ranked


def test_maps_drawn_at_random_are_no_method() -> None:
    def with_random(one: Record) -> Record:
        drawn = Value(mean=0.1, low=0.1, high=0.1, interval="bootstrap over images", n=100)
        return one.model_copy(update={"values": {**one.values, "sp2ps/random-cam": drawn}})

    records = world({"a": 0.9, "b": 0.5})
    beside = section([with_random(r) for r in records])
    assert beside.rankings == section(records).rankings
    assert {horizon.cam for horizon in beside.horizons} == {"grad-cam"}


def test_a_network_that_was_not_shown_to_be_good_ranks_nobody() -> None:
    found = section(world({"a": 0.9, "b": 0.5}, shown_good=False))
    assert found.standing.kind == "demonstration"
    assert not any(place.ranked for place in found.rankings["dense"].places)


def test_a_baseline_below_what_its_network_reaches_ranks_nobody() -> None:
    records = world({"a": 0.9, "b": 0.5}, shown_good=False)
    assert section([*records, trained_longer(0.91)]).standing.closed is None
    found = section([*records, trained_longer(0.92)]).standing
    assert (found.kind, found.longer) == ("demonstration", 0.92)
    assert found.closed == (
        "its baseline reaches 90.0%, the same network trained at least 3 times as long 92.0%"
    )
    # Twice as long shows nothing.
    assert section([*records, trained_longer(0.9, epochs=20)]).standing.kind == "demonstration"


def test_the_network_trained_longer_is_no_demonstration() -> None:
    (found,) = board([trained_longer()])
    assert found.standing.kind == "study"
    assert found.standing.closed == "it has no pruners: it shows what its network reaches"


def test_given_weights_that_chose_on_seen_images_rank_nobody() -> None:
    seen = training(2, from_scratch=False, keep="best")
    records = [
        r.model_copy(update={"training": seen}) if r.role == "baseline" and r.seeds != (0,) else r
        for r in world({"a": 0.9, "b": 0.5})
    ]
    found = section(records).standing
    assert found.kind == "study"
    assert found.closed is not None
    assert found.closed.startswith("its adaptation kept the best epoch on validation images")


def test_axes_are_ranked_apart() -> None:
    dense, masked = world({"a": 0.9, "b": 0.5}), world({"m": 0.9, "n": 0.5}, axis="masked")
    records = [*dense, *(r for r in masked if r.role == "compressed")]
    assert places(ranking(records)) == {"a": (1, 1), "b": (2, 2)}
    assert places(ranking(records, "masked")) == {"m": (1, 1), "n": (2, 2)}


def entry(pruner: str, score: float, draw_seed: int) -> list[Record]:
    """An entry from elsewhere: its suite is not that of the section's controls."""
    import numpy as np

    records = world({pruner: score}, noise=0.01, draw=np.random.default_rng(draw_seed))
    return [r.model_copy(update={"suite": "elsewhere"}) for r in records if r.pruner == pruner]


@settings(max_examples=25, deadline=None)
@given(score=st.floats(0.25, 0.95), seed=st.integers(0, 100), twice=st.booleans())
def test_an_entry_from_elsewhere_changes_nobodys_score_or_place(
    score: float, seed: int, twice: bool
) -> None:
    records = world({"a": 0.9, "b": 0.85, "c": 0.7}, noise=0.01, block=0.02)
    alone = ranking(records)
    beside = ranking(
        records + entry("entry", score, seed) + (entry("copy", score, seed) if twice else [])
    )
    listed = [place for place in beside.places if place.listed]
    assert listed == list(alone.places)
    assert beside.smallest_difference == alone.smallest_difference
    found = place(beside, "entry")
    assert 1 <= (found.first or 0) <= (found.last or 0) <= 4


def test_records_from_elsewhere_do_not_join_a_list_by_taking_its_label() -> None:
    records = world({"a": 0.9, "b": 0.85}, noise=0.01)
    stranger = [r.model_copy(update={"suite": "elsewhere"}) for r in entry("c", 0.3, 5)]
    listed = protocol("a", "b", "c")
    (alone, *_), (beside, *_) = board(records, listed), board([*records, *stranger], listed)
    assert not place(beside.rankings["dense"], "c").listed
    assert beside.absent == ("c",)
    assert beside.rankings["dense"].places[:2] == alone.rankings["dense"].places


def protocol(*pruners: str) -> Protocol:
    named = Headline(
        suite="quick",
        title="Made up",
        dataset="digits",
        model="digits-cnn",
        cams=("grad-cam",),
        pruners=pruners,
    )
    return Protocol(name="2026.12", headlines=(named,))


def test_a_suites_name_alone_makes_no_headline() -> None:
    other = protocol("a", "b").headlines[0].model_copy(update={"model": "resnet8"})
    (found, *_) = board(world({"a": 0.9, "b": 0.5}), Protocol(name="2026.12", headlines=(other,)))
    assert found.headline is None


def test_where_nothing_is_told_apart_an_entry_has_no_place_either() -> None:
    records = world({"a": 0.9, "b": 0.9, "c": 0.9}, noise=0.02) + entry("entry", 0.3, 1)
    assert not any(place.ranked for place in ranking(records).places)


def test_seeds_of_one_baseline_are_no_evidence() -> None:
    shared = [r.model_copy(update={"keys": {"baseline": "k"}}) for r in world({"a": 0.9, "b": 0.5})]
    assert place(ranking(shared), "a").reason == "the baseline has 5 seeds but 1 baseline"


def test_places_and_scores_are_of_the_same_seeds() -> None:
    few, many = world({"b": 0.8}), world({"a": 0.9}, seeds=10)
    late = [
        r.model_copy(update={"values": record("x", sp2ps=0.5).values})
        if r.pruner == "a" and r.seed >= 5
        else r
        for r in many
    ]
    found = ranking([*late, *(r for r in few if r.pruner == "b")])
    assert places(found) == {"a": (1, 1), "b": (2, 2)}
    assert place(found, "a").score == pytest.approx(0.9)
    assert place(found, "a").seeds == 5


def test_a_longer_training_that_failed_shows_nothing() -> None:
    records = world({"a": 0.9, "b": 0.5}, shown_good=False)
    found = section([*records, trained_longer(0.10)]).standing
    assert found.closed == "nobody trained its network 3 times as long, to show that it is good"


def test_given_weights_as_they_come_are_not_shown_good_by_an_adaptation() -> None:
    as_it_comes = training(0, from_scratch=False, keep=None)
    records = [
        r.model_copy(update={"training": as_it_comes}) if r.role == "baseline" else r
        for r in world({"a": 0.9, "b": 0.5}, shown_good=False)
    ]
    found = section([*records, trained_longer(0.9, epochs=3)]).standing
    assert found.kind == "study"
    assert found.closed is not None


def test_another_control_does_not_take_the_place_of_none() -> None:
    records = world({"a": 0.9, "b": 0.5})
    other = [
        control(0.97, 0.99, seed=s, seeds=range(5)).model_copy(
            update={"pruner": "aaa", "id": f"o{s}"}
        )
        for s in range(5)
    ]
    assert section([*records, *other]).rankings == section(records).rankings


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_rank_does_not_depend_on_the_order_of_records(order: random.Random) -> None:
    records = world({"a": 0.9, "b": 0.85, "c": 0.5}, noise=0.01)
    shuffled = list(records)
    order.shuffle(shuffled)
    before, after = section(records), section(shuffled)
    assert after.rankings == before.rankings
    assert after.horizons == before.horizons
    assert after.standing == before.standing


@settings(max_examples=25, deadline=None)
@given(sp2ps=st.floats(0.05, 0.95), accuracy=st.floats(0.02, 0.98))
def test_another_section_changes_nothing(sp2ps: float, accuracy: float) -> None:
    records = world({"a": 0.9, "b": 0.5}, noise=0.01)
    stranger = record("stranger", 0.5, protocol="p2", sp2ps=sp2ps, accuracy=accuracy)
    beside = next(one for one in board([*records, stranger]) if one.control is not None)
    assert beside.rankings == section(records).rankings
    assert beside.horizons == section(records).horizons


def test_one_seed_of_a_section_without_floor_and_training_is_still_a_board() -> None:
    (found,) = board([baseline(), control(), record("a"), floor()])
    assert found.rankings["dense"].places[0].reason == "its levels do not cover 10%, 20%, 30%, 40%"
