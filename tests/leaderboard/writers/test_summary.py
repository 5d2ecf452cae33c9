"""The summary says of made-up worlds what is true in them, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from synthetic import record
from worlds import world

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.writers.summary import summarise
from prunebench.record import Record, Value
from prunebench.record.per_image import PerImage, pack_classes

SEEDS = 5


def read(records: Sequence[Record]) -> str:
    section: Section = next(one for one in board(records) if one.control is not None)
    return "\n".join(summarise(section))


def beside(role: str, sp2ps: float, accuracy: float = 0.9, **fields: Any) -> list[Record]:
    """A control of every seed."""
    level = fields.pop("level", None)
    return [
        record(
            role,
            level,
            role=role,
            axis=fields.get("axis", "none"),
            sp2ps=sp2ps + 0.001 * seed,
            accuracy=accuracy,
            pruner_name=role,
            seed=seed,
            seeds=range(SEEDS),
        )
        for seed in range(SEEDS)
    ]


def with_recalls(
    records: Sequence[Record], lost: Mapping[str, tuple[float, ...]], classes: tuple[str, ...]
) -> list[Record]:
    """Recalls of each class: 0.9 of every baseline, less what a pruner lost."""
    found = []
    for one in records:
        gone = lost.get(one.pruner, (0.0,) * len(classes))
        recalls = tuple(0.9 - x - 0.001 * one.seed * (x > 0) for x in gone)
        found.append(one.model_copy(update={"recalls": recalls, "classes": classes}))
    return found


def test_the_best_and_the_last_are_named_where_they_are_told_apart() -> None:
    text = read(world({"good": 0.9, "fair": 0.8, "bad": 0.6}, noise=0.005))
    assert "Channels removed: good (place 1, 0.89" in text
    assert "keeps most of what the network looked at; last is bad (place 3, 0.59" in text


def test_a_shared_first_place_is_told_as_one() -> None:
    text = read(world({"a": 0.90, "b": 0.899, "c": 0.6}, noise=0.005))
    line = next(line for line in text.splitlines() if line.startswith("Channels removed"))
    assert "a (place 1–2" in line
    assert "b (place 1–2" in line
    assert "keep most of what the network looked at and may each be the first" in line


def test_an_entry_from_elsewhere_is_no_part_of_the_summary() -> None:
    records = world({"a": 0.9, "b": 0.7}, noise=0.002)
    strange = [
        r.model_copy(update={"suite": "elsewhere"})
        for r in world({"entry": 0.99})
        if r.pruner == "entry"
    ]
    assert read([*records, *strange]) == read(records)


def test_where_nothing_is_told_apart_nobody_is_first() -> None:
    text = read(world({"a": 0.9, "b": 0.9, "c": 0.9}, noise=0.02))
    assert "Channels removed: nobody is ranked (not told apart from the others)." in text


def test_one_seed_claims_nothing() -> None:
    text = read(world({"a": 0.9, "b": 0.5}, seeds=1))
    told = "Channels removed: nobody is ranked (the baseline has 1 of the 5 seeds that it takes)."
    assert text == told


def falling(pruner: str, values: Mapping[float, float]) -> list[Record]:
    draw = np.random.default_rng(3)
    return [
        record(
            pruner,
            level,
            sp2ps=float(value + draw.normal(0, 0.001)),
            half_width=0.0,
            seed=seed,
            seeds=range(SEEDS),
        )
        for level, value in values.items()
        for seed in range(SEEDS)
    ]


def test_how_far_one_can_go_is_the_last_level_that_holds() -> None:
    # `none` keeps 0.97: 0.92 is the limit.
    near = {0.1: 0.96, 0.2: 0.90, 0.3: 0.85, 0.4: 0.8, 0.5: 0.7}
    far = {0.1: 0.96, 0.2: 0.95, 0.3: 0.94, 0.4: 0.9, 0.5: 0.8}
    text = read([*world({}), *falling("near", near), *falling("far", far)])
    assert "Farthest one can go with far: 30% of MACs" in text


def test_where_every_first_level_fails_that_is_told() -> None:
    text = read(world({"a": 0.8, "b": 0.7}, noise=0.001))
    assert "up to its first level of MACs" in text


def test_accuracy_alone_would_not_have_told() -> None:
    text = read(world({"a": 0.9, "b": 0.6}, noise=0.001))
    assert "Would accuracy alone have told? No: 10 networks are within 1 point" in text
    assert "Sp2PS differs by 0.3" in text


def test_what_lost_its_accuracy_is_not_compared_with_what_kept_it() -> None:
    text = read(world({"a": 0.9, "b": 0.6, "c": 0.1}, noise=0.001, accuracy={"c": 0.5}))
    assert "10 networks are within 1 point" in text
    assert "Sp2PS differs by 0.3" in text


def test_a_difference_that_seeds_do_not_carry_is_told_as_such() -> None:
    draw = np.random.default_rng(2)
    text = read(world({"a": 0.9}, noise=0.001, draw=draw, levels=(0.1, 0.2)))
    assert "which may be chance" in text


def test_the_scale_tells_none_twin_and_random_weights() -> None:
    text = read([*world({"a": 0.9, "b": 0.6}), *beside("twin", 0.55)])
    assert "The scale, in Sp2PS: 0.970 [0.970, 0.970] for `none` (fine-tuning alone)" in text
    assert "0.552 for a twin (another training of the same network)" in text
    assert "0.200 [0.200, 0.200] for random weights." in text


def test_a_small_network_is_held_against_the_pruned_one_of_its_shape() -> None:
    records = [
        *world({"l1-filter": 0.9, "b": 0.6}),
        *beside("small", 0.55, accuracy=0.91, axis="dense", level=0.3),
    ]
    text = read(records)
    shape = "Against a small network of its shape, trained from scratch, l1-filter 30% has"
    assert f"{shape} less accuracy (−0.010" in text
    assert f"{shape} more Sp2PS (+0.348" in text


def test_the_class_that_is_damaged_first_is_named_with_its_interval() -> None:
    records = with_recalls(
        world({"a": 0.9, "b": 0.6}), {"a": (0.02, 0.0), "b": (0.01, 0.08)}, ("shirt", "coat")
    )
    text = read(records)
    assert "Damaged first, in networks that kept their accuracy: “coat”, whose recall" in text
    assert "points against `none` in b 10%." in text


def noisy(draw: np.random.Generator, records: Sequence[Record]) -> list[Record]:
    """Every network with noise of its own, in Sp2PS and in the recall of ten classes."""
    found = []
    for one in records:
        value = Value(mean=float(np.clip(0.8 + draw.normal(0, 0.03), 0, 1)), n=100)
        recalls = tuple(float(x) for x in np.clip(0.9 + draw.normal(0, 0.02, 10), 0, 1))
        values = {**one.values, "sp2ps/grad-cam": value} if one.role == "compressed" else one.values
        found.append(one.model_copy(update={"values": values, "recalls": recalls}))
    return found


@pytest.mark.parametrize("worlds", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_in_a_world_without_differences_next_to_nothing_is_claimed(worlds: int) -> None:
    draw = np.random.default_rng(5)
    texts = [read(noisy(draw, world(dict.fromkeys("abcdef", 0.8)))) for _ in range(worlds)]
    for claim in ("told? No:", "Damaged first", "keeps most", "keep most"):
        assert sum(claim in text for text in texts) <= max(1, 0.1 * worlds), claim


def test_no_class_is_named_where_seeds_disagree() -> None:
    def recalls(one: Record) -> tuple[float, ...]:
        return (0.9 + 0.1 * (-1) ** one.seed * (one.role == "compressed"),)

    records = [
        one.model_copy(update={"recalls": recalls(one)}) for one in world({"a": 0.9, "b": 0.6})
    ]
    assert "Damaged first" not in read(records)


def test_images_that_all_seeds_see_in_another_way_are_counted() -> None:
    records = with_recalls(world({"a": 0.9, "b": 0.6}), {"b": (0.08,)}, ("coat",))
    seen = {"baseline": [0, 1, 2, 3], "none": [0, 1, 2, 3], "b": [0, 5, 5, 3]}
    packed = [
        one.model_copy(
            update={"per_image": PerImage(images=4, predicted=pack_classes(seen[one.pruner], 10))}
        )
        if one.pruner in seen
        else one
        for one in records
    ]
    assert "in 2 of 4 images; after fine-tuning alone in 0." in read(packed)
