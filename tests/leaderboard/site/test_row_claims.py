"""What a row's page claims: damage, counterparts, and what to know before comparing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthetic import record
from test_row_page import pages
from worlds import world

from prunebench.record import Changed, Record
from prunebench.record.per_image import PerImage, pack_classes, pack_sp2ps


def damaged(png: str | None = "iVBORw0KGgo=") -> list[Record]:
    """Three seeds of which a pruner sees image 1 as another class, and class y ever worse."""
    found = []
    for one in world({"l1-filter": 0.9, "b": 0.7}, seeds=3):
        own = one.pruner == "l1-filter"
        told = {
            "recalls": (0.9, 0.7 - 0.01 * one.seed if own else 0.9),
            "classes": ("x", "y", "z"),
            "per_image": PerImage(
                images=3,
                predicted=pack_classes([0, 2 if own else 1, 1], 3),
                sp2ps={"grad-cam": pack_sp2ps([0.9, 0.3, 0.8])},
            ),
            "changed": (Changed(image=7, baseline_class=1, own_class=2, label=1, png=png),)
            if own
            else (),
        }
        found.append(one.model_copy(update=told))
    return found


def content_of(records: list[Record], site: Path, pruner: str) -> dict[str, Any]:
    return next(one for one in pages(records, site).values() if one["title"].startswith(pruner))


def test_who_is_damaged_is_told_with_pictures(tmp_path: Path) -> None:
    found = content_of(damaged(), tmp_path, "l1-filter")["damage"]
    worst, images = found["said"]
    assert worst == "“y” lost most: its recall changes by −21.0 [−24.6, −17.4] points."
    assert images.startswith("On 1 of 3 images the networks of all 3 seeds predict one class")
    assert found["table"]["rows"] == [["grad-cam", "0.299", "0.850"]]
    (picture,) = found["pictures"]
    assert [picture[key] for key in ("image", "was", "is", "label")] == [7, "y", "z", "y"]
    assert content_of(damaged(None), tmp_path, "l1-filter")["damage"]["pictures"] == []


def test_one_seed_tells_no_images_and_no_interval(tmp_path: Path) -> None:
    one = [each for each in damaged() if each.seed == 0]
    found = content_of(one, tmp_path, "l1-filter")["damage"]
    assert found["said"] == [
        "“y” lost most: its recall changes by −20.0 points (too few seeds for an interval).",
        "Which images it changes for good takes 3 seeds.",
    ]


def test_where_records_tell_nothing_of_damage_there_is_no_such_part(tmp_path: Path) -> None:
    for name, found in pages(world({"a": 0.9, "b": 0.7}), tmp_path).items():
        assert found["damage"] is None, name


def test_a_row_without_levels_stands_beside_what_has_levels(tmp_path: Path) -> None:
    def student(seeds: int, shift: float) -> list[Record]:
        return [
            record(
                "student", None, reached=0.45, sp2ps=0.85 + shift * s, seed=s, seeds=range(seeds)
            )
            for s in range(seeds)
        ]

    records = world({"a": 0.9, "b": 0.7})
    found = pages([*records, *student(5, 0.001)], tmp_path)
    told = next(one for one in found.values() if one["title"] == "student")["counterpart"]
    assert told.startswith(
        "Against 2 pruners at 45% of MACs, it keeps +0.052 [+0.050, +0.054] over 5 seeds: "
    )
    assert (
        next(one for one in found.values() if one["title"].startswith("a"))["counterpart"] is None
    )
    found = pages([*records, *student(2, 0.0)], tmp_path)
    told = next(one for one in found.values() if one["title"] == "student")["counterpart"]
    assert "under 2 seeds: too few for an interval" in told


def test_the_title_is_followed_by_what_to_know_before_comparing(tmp_path: Path) -> None:
    records = [
        each.model_copy(update={"images_seen": 900 if each.pruner == "l1-filter" else 100})
        for each in world({"l1-filter": 0.9, "b": 0.7})
    ]
    found = content_of(records, tmp_path, "l1-filter")
    assert found["remarks"] == [
        "saw 9 times the training images of the others",
        "at equal budget it is compared with no other pruner",
    ]
    assert found["rank"] == "rank 1 of 2 on the axis dense"
    assert found["score"] == "score 0.900, [0.900, 0.900] over 5 seeds"
    one = [each for each in records if each.seed == 0]
    found = content_of(one, tmp_path, "l1-filter")
    assert found["remarks"][0].startswith("preliminary: 10% has 1 of 5 seeds; intervals are of")
    assert dict(found["facts"])["Accuracy"].endswith("images only")


def test_seeds_that_may_be_chosen_are_preliminary_with_intervals_over_seeds(
    tmp_path: Path,
) -> None:
    records = [
        each.model_copy(update={"seed": each.seed + 3, "seeds": (3, 4, 5)})
        for each in world({"l1-filter": 0.9}, seeds=3, noise=0.01)
    ]
    (remark,) = content_of(records, tmp_path, "l1-filter")["remarks"]
    assert remark.startswith("preliminary: 10% has the seeds 3, 4, 5; expected 0 to 2")
    assert "images only" not in remark
