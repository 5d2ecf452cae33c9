"""Rule 7: trust horizons are brackets of measured levels; marks rest on seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import baseline, control, record

from prunebench.leaderboard.board import Section, board
from prunebench.leaderboard.board.horizon import HorizonOutcome
from prunebench.leaderboard.board.mark import mark_row
from prunebench.record import Record, Value

LEVELS = (0.2, 0.4, 0.6)


def line(
    sp2ps: Mapping[float, float],
    *,
    none: float = 0.99,
    seeds: int = 3,
    spread: float = 0.001,
    accuracy: Mapping[float, float] | None = None,
    **fields: Any,
) -> list[Record]:
    """A section of one pruner with these values at its levels, seeds ``spread`` apart."""
    found = []
    for seed in range(seeds):
        common = {"seed": seed, "seeds": range(seeds), **fields}
        shift = spread * (seed - (seeds - 1) / 2)
        found += [baseline(0.9, **common), control(none + shift, 0.9, **common)]
        found += [
            record(
                "a",
                level,
                sp2ps=value + shift,
                accuracy=(accuracy or {}).get(level, 0.9),
                half_width=0.0,
                **common,
            )
            for level, value in sp2ps.items()
        ]
    return found


def section(records: list[Record]) -> Section:
    (found,) = board(records)
    return found


def outcome(records: list[Record], versus: str = "published") -> HorizonOutcome:
    return next(h.outcome for h in section(records).horizons if h.versus == versus)


def test_it_is_the_bracket_between_the_last_level_that_holds_and_the_next() -> None:
    found = outcome(line({0.2: 0.98, 0.4: 0.96, 0.6: 0.80}))
    assert (found.state, found.at, found.next, found.cause) == ("between", 0.4, 0.6, "sp2ps")
    assert str(found) == "[40%, 60%) (Sp2PS)"


def test_a_level_that_holds_behind_one_that_fails_does_not_count() -> None:
    found = outcome(line({0.2: 0.98, 0.4: 0.80, 0.6: 0.99}))
    assert (found.at, found.next) == (0.2, 0.4)


def test_accuracy_more_than_a_point_below_the_bar_ends_it() -> None:
    found = outcome(line(dict.fromkeys(LEVELS, 0.98), accuracy={0.4: 0.89, 0.6: 0.889}))
    assert (found.at, found.next, found.cause) == (0.4, 0.6, "accuracy")


@pytest.mark.parametrize(
    ("sp2ps", "none", "told"),
    [
        ((0.9, 0.9, 0.9), 0.99, "below the first level, 20% (Sp2PS)"),
        ((0.99, 0.98, 0.97), 0.99, "beyond the last level, 60%"),
        ((0.99, 0.98, 0.97), 0.94, "not measurable here: `none` gives way (Sp2PS)"),
    ],
)
def test_the_ends(sp2ps: tuple[float, ...], none: float, told: str) -> None:
    assert str(outcome(line(dict(zip(LEVELS, sp2ps, strict=True)), none=none))) == told


def test_what_counts_is_the_lower_bound_over_seeds() -> None:
    # The mean is 0.96. One-sided, t(2) is 2.92: seeds 0.004 apart give a bound of 0.9533, seeds
    # 0.01 apart 0.9431.
    values = dict.fromkeys(LEVELS, 0.96)
    assert outcome(line(values, spread=0.004)).state == "beyond the last level"
    found = outcome(line(values, spread=0.01))
    assert found.state == "below the first level"


def test_the_relative_horizon_pairs_seeds_with_their_own_none() -> None:
    # Seeds move `none` and the pruner together by 0.1, far more than the loss of 0.04.
    found = outcome(line({0.2: 0.66, 0.4: 0.66, 0.6: 0.64}, none=0.70, spread=0.1), "none - 0.05")
    assert (found.at, found.next) == (0.4, 0.6)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (
            line(dict.fromkeys(LEVELS, 0.98), seeds=2),
            "the baseline has 2 of the 3 seeds that it takes",
        ),
        (line({0.2: 0.98, 0.4: 0.97}), "it has 2 of 3 levels"),
    ],
)
def test_too_little_is_no_horizon(records: list[Record], reason: str) -> None:
    found = outcome(records)
    assert (found.state, found.reason) == (None, reason)
    assert str(found) == f"? ({reason})"


def test_a_network_that_could_not_be_made_ends_it() -> None:
    records = [
        r.model_copy(update={"values": {}, "failure": "diverged"})
        if (r.level, r.seed) == (0.4, 1)
        else r
        for r in line(dict.fromkeys(LEVELS, 0.98))
    ]
    found = outcome(records)
    assert (found.at, found.next, found.cause) == (0.2, 0.4, "accuracy")


def test_an_undefined_level_behind_the_bracket_hides_nothing() -> None:
    bad = Value(mean=0.5, n=80, undefined=20)
    records = [
        r.model_copy(update={"values": {**r.values, "sp2ps/grad-cam": bad}})
        if r.level == 0.6
        else r
        for r in line({0.2: 0.98, 0.4: 0.80, 0.6: 0.5})
    ]
    assert str(outcome(records)) == "[20%, 40%) (Sp2PS)"


def test_methods_without_a_published_threshold_have_the_relative_one_alone() -> None:
    records = [
        baseline(),
        control({"grad-cam++": 0.99}),
        record("a", 0.2, sp2ps={"grad-cam++": 0.9}),
    ]
    assert [h.versus for h in section(records).horizons] == ["none - 0.05"]


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.floats(0.5, 1.0), min_size=3, max_size=6),
    none=st.floats(0.9, 1.0),
)
def test_no_horizon_lies_where_nothing_was_measured(values: list[float], none: float) -> None:
    levels = [0.1 * (place + 1) for place in range(len(values))]
    for found in section(line(dict(zip(levels, values, strict=True)), none=none)).horizons:
        places = {round(place, 9) for place in levels}
        told = {found.outcome.at, found.outcome.next} - {None}
        assert {round(place, 9) for place in told if place is not None} <= places


def mark(*means: float, seeds: tuple[int, ...] | None = None, undefined: int = 0) -> Any:
    seeds = seeds or tuple(range(len(means)))
    records = [
        record(
            "a",
            seed=seed,
            seeds=seeds,
            values={"sp2ps/grad-cam": Value(mean=mean, n=100 - undefined, undefined=undefined)},
        )
        for seed, mean in zip(seeds, means, strict=True)
    ]
    (row,) = (row for row in section(records).rows)
    return mark_row(row, "grad-cam")


def test_a_mark_takes_three_seeds_that_agree() -> None:
    assert mark(0.97, 0.971, 0.972).trusted is True
    assert mark(0.92, 0.921, 0.922).trusted is False
    undecided = mark(0.93, 0.96, 0.99)
    assert undecided.trusted is None
    assert undecided.reason == "3 seeds do not decide it: from 0.909 to 1.011"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"means": (0.99,)}, "50% has 1 of the 3 seeds that it takes"),
        ({"means": (0.99, 0.99)}, "50% has 2 of the 3 seeds that it takes"),
        (
            {"means": (0.99, 0.99, 0.99), "seeds": (1, 4, 7)},
            "50% has the seeds 1, 4, 7; expected 0 to 2: all that were run, none chosen",
        ),
        (
            {"means": (0.99, 0.98, 0.97), "undefined": 6},
            "50%: sp2ps/grad-cam is not defined on 6% of images",
        ),
    ],
)
def test_what_is_not_marked_says_why(given: dict[str, Any], reason: str) -> None:
    means = given.pop("means")
    found = mark(*means, **given)
    assert (found.trusted, found.reason) == (None, reason)


def test_more_evidence_never_lowers_a_verdict_that_one_seed_was_given() -> None:
    assert mark(0.954).trusted is None
    assert mark(0.959, 0.960, 0.961).trusted is True
