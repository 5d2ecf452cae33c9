from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import baseline, control, record

from prunebench.leaderboard.board import board
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.board.speed import (
    INTEGER,
    LEAST_GAP,
    MASKED,
    NOISE,
    OVERHEAD,
    ROUNDED,
    SMALL,
    TRAFFIC,
    WHOLE,
    ExplainedTiming,
    explain_timings,
    list_timings,
)
from prunebench.leaderboard.writers.cells import explain_latency
from prunebench.record import Reached, Times, Value


def times(place: str, ratio: float, iqr: float | None = 0.01) -> dict[str, Value]:
    found = {
        f"{place}_ms": Value(mean=2 * ratio, measured=True),
        f"{place}_ratio": Value(mean=ratio, measured=True),
    }
    if iqr is not None:
        found[f"{place}_iqr_ms"] = Value(mean=2 * ratio * iqr, measured=True)
    return found


def row(values: dict[str, Value], axis: str = "dense", reached: float = 0.5, **more: Any) -> Row:
    """A row of its own section; ``place`` among ``more`` overrides what was removed."""
    (section,) = board(
        [baseline(), control(), record(axis=axis, reached=reached, values=values, **more)]
    )
    return next(each for each in section.rows if each.first.role == "compressed")


def causes(found: Row) -> dict[str, str | None]:
    return {each.timing.name: each.cause for each in explain_timings(found)}


def test_every_place_is_found_in_order_and_nothing_else() -> None:
    values = (
        times("deployed_latency_cpu_b1", 0.5)
        | times("latency_cuda_b64", 0.7)
        | times("latency_cpu_b64", 0.6)
        | times("latency_cpu_b1", 0.9)
        | {"throughput_cpu_b64": Value(mean=100.0, measured=True)}
    )
    found = list_timings(row(values))
    assert [each.name for each in found] == [
        "latency_cpu_b1",
        "latency_cpu_b64",
        "latency_cuda_b64",
        "deployed_latency_cpu_b1",
    ]
    assert found[0].place == "CPU, batch 1, PyTorch"
    assert found[3].place == "CPU, batch 1, ONNX Runtime"
    assert found[0].gap == pytest.approx(0.4)
    assert (found[0].low, found[0].high) == pytest.approx((0.89, 0.91))


def test_masks_are_the_cause_wherever_they_are_timed_even_where_noise_looks_like_a_gain() -> None:
    values = times("latency_cpu_b1", 0.9) | times("deployed_latency_cpu_b1", 1.0)
    found = row(values, axis="masked")
    assert set(causes(found).values()) == {MASKED}
    assert "50% of the weights are zeros" in explain_timings(found)[0].evidence


def test_eight_bits_are_slow_in_pytorch_and_only_judged_when_deployed() -> None:
    values = times("latency_cpu_b1", 1.2) | times("deployed_latency_cpu_b1", 0.6)
    whole = row(values, axis="quantised", reached=0.0)
    assert causes(whole) == {"latency_cpu_b1": ROUNDED, "deployed_latency_cpu_b1": None}
    slow = row(times("deployed_latency_cpu_b1", 1.3), axis="quantised", reached=0.0)
    assert causes(slow) == {"deployed_latency_cpu_b1": INTEGER}


def test_nothing_removed_is_said_to_be_so() -> None:
    place = Reached(weights=0.3, params=0.3, channels=0.1, macs=0.0)
    assert causes(row(times("latency_cpu_b1", 1.0), place=place)) == {"latency_cpu_b1": WHOLE}


def test_a_large_batch_that_gains_tells_overhead_from_memory() -> None:
    gains = row(times("latency_cpu_b1", 0.95) | times("latency_cpu_b64", 0.54))
    assert causes(gains) == {"latency_cpu_b1": OVERHEAD, "latency_cpu_b64": None}
    assert "at batch 64 time ×0.54" in explain_timings(gains)[0].evidence
    neither = row(times("latency_cpu_b1", 0.9) | times("latency_cpu_b64", 0.88))
    assert causes(neither) == {"latency_cpu_b1": SMALL, "latency_cpu_b64": TRAFFIC}
    assert "0.56 times the baseline's MACs per ms" in explain_timings(neither)[0].evidence
    # Another device, or another runtime, says nothing of this one.
    apart = row(times("latency_cpu_b1", 0.95) | times("latency_cuda_b64", 0.55))
    assert causes(apart)["latency_cpu_b1"] == SMALL


def test_a_gap_as_wide_as_the_spread_of_the_times_is_noise() -> None:
    noisy = row(times("latency_cpu_b1", 0.8, iqr=0.4))
    assert causes(noisy) == {"latency_cpu_b1": NOISE}
    assert "between ×0.40 and ×1.20" in explain_timings(noisy)[0].evidence
    assert causes(row(times("latency_cpu_b1", 0.8, iqr=None))) == {"latency_cpu_b1": SMALL}


def test_single_times_tell_noise_from_a_gap_that_their_spread_would_hide() -> None:
    # Passes differ by half, but each pair agrees: the median of the ratios is well known.
    before = [1.0 + 0.5 * (number % 3) for number in range(30)]
    pair = Times(baseline=tuple(before), network=tuple(0.8 * time for time in before))
    found = row(times("latency_cpu_b1", 0.8, iqr=0.5), times={"cpu_b1": pair})
    assert causes(found) == {"latency_cpu_b1": SMALL}
    (timing,) = list_timings(found)
    assert (timing.low, timing.high) == pytest.approx((0.8, 0.8))


@given(
    removed=st.floats(0.01, 0.99),
    ratio=st.floats(0.01, 3),
    axis=st.sampled_from(["dense", "masked", "quantised"]),
)
def test_a_cause_is_given_exactly_where_less_is_gained_than_the_macs_tell(
    removed: float, ratio: float, axis: str
) -> None:
    (found,) = explain_timings(row(times("latency_cpu_b1", ratio), axis=axis, reached=removed))
    assert isinstance(found, ExplainedTiming)
    assert found.timing.pace == pytest.approx(found.timing.macs / ratio)
    if axis == "dense":
        assert (found.cause is not None) == (found.timing.gap > LEAST_GAP)


def test_the_note_of_the_board_is_the_page_s_cause() -> None:
    for axis in ("masked", "quantised", "dense"):
        found = row(times("latency_cpu_b1", 1.2), axis=axis)
        assert explain_latency(found, "latency_cpu_b1") == causes(found)["latency_cpu_b1"]
    faster = row(times("latency_cpu_b1", 0.8))
    assert explain_latency(faster, "latency_cpu_b1") is None
    assert causes(faster)["latency_cpu_b1"] == SMALL  # faster, yet not as much as its MACs
    little = row(times("latency_cpu_b1", 1.01), reached=0.02)
    assert explain_latency(little, "latency_cpu_b1") == NOISE
    assert explain_latency(little, "latency_cuda_b1") is None


def test_networks_that_are_not_compressed_have_nothing_to_explain() -> None:
    (section,) = board([baseline(values=times("latency_cpu_b1", 1.0)), control()])
    assert [explain_timings(each) for each in section.rows] == [(), ()]
    assert explain_timings(row({})) == ()
