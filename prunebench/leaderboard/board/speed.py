"""Why a compressed network is not faster, or less than its MACs tell: from its record alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from prunebench.intervals import median_interval
from prunebench.leaderboard.board.rows import Row

LEAST_GAP = 0.05
"""Ratios nearer to each other than this are called equal: no timer here is finer."""

MASKED = "masks of zeros: a dense kernel multiplies them anyway"
ROUNDED = "computed with what 8-bit codes stand for; deployed latency times integer kernels"
INTEGER = "integer kernels: as many MACs, and numbers are converted on the way in and out of them"
WHOLE = "no MACs are removed"
NOISE = "the difference is within the timer's noise"
OVERHEAD = "overhead of each layer at a small batch: the larger batch gains more"
SMALL = "dense but small layers: memory-bound, or overhead at batch 1"
TRAFFIC = "dense, with fewer MACs per ms: memory-bound, or overhead of smaller layers"

_RATIO = re.compile(r"(deployed_)?latency_([a-z]+)_b(\d+)_ratio")
_RUNTIMES = {False: "PyTorch", True: "ONNX Runtime"}


@dataclass(frozen=True)
class Timing:
    """How long a row's networks take in one place, beside the baseline in the same process.

    Attributes:
        name: Of its values, without their endings: ``latency_cpu_b1``.
        device: ``cpu`` or ``cuda``.
        batch: Images in a forward pass.
        deployed: Whether ONNX Runtime computed it.
        ratio: Time over the baseline's, the median over pairs of passes; below 1 is faster.
        macs: MACs over the baseline's: the ratio to expect if time followed them.
        low: Lower bound of the ratio: a 95% interval of the median where the record keeps single
            times; else the interquartile range of the times to either side.
        high: Upper bound.
    """

    name: str
    device: str
    batch: int
    deployed: bool
    ratio: float
    macs: float
    low: float
    high: float

    @property
    def place(self) -> str:
        """The place in words, such as ``CPU, batch 1, PyTorch``."""
        return f"{self.device.upper()}, batch {self.batch}, {_RUNTIMES[self.deployed]}"

    @property
    def gap(self) -> float:
        """Ratio of times above the ratio of MACs: how much is not gained."""
        return self.ratio - self.macs

    @property
    def pace(self) -> float:
        """MACs per millisecond over the baseline's."""
        return self.macs / self.ratio


@dataclass(frozen=True)
class ExplainedTiming:
    """A timing with what explains it.

    Attributes:
        timing: The place and its ratios.
        cause: Why time does not follow the MACs; None where it does.
        evidence: The numbers that say so.
    """

    timing: Timing
    cause: str | None
    evidence: str


def list_timings(row: Row) -> tuple[Timing, ...]:
    """Return where a row was timed: PyTorch before ONNX Runtime, by device and batch."""
    found = []
    for name, value in row.estimates.items():
        match = _RATIO.fullmatch(name) if "latency_" in name else None
        if match and value.mean is not None and value.mean > 0:
            base = name.removesuffix("_ratio")
            low, high = _find_bounds(row, base, value.mean)
            macs = 1 - row.reached.macs
            deployed = match[1] is not None
            found.append(
                Timing(base, match[2], int(match[3]), deployed, value.mean, macs, low, high)
            )
    return tuple(sorted(found, key=lambda each: (each.deployed, each.device, each.batch)))


def _find_bounds(row: Row, name: str, ratio: float) -> tuple[float, float]:
    """Return the ratios between which the time may lie."""
    place = name.replace("latency_", "", 1)
    kept = [record.times[place] for record in row.records if place in record.times]
    pairs = [
        after / before
        for times in kept
        for before, after in zip(times.baseline, times.network, strict=True)
    ]
    if pairs:
        low, high = median_interval(pairs)
        return min(low, ratio), max(high, ratio)
    time, spread = row.get(f"{name}_ms").mean, row.get(f"{name}_iqr_ms").mean
    noise = spread / time if time and spread is not None else 0.0
    return ratio - noise, ratio + noise


def explain_timings(row: Row) -> tuple[ExplainedTiming, ...]:
    """Explain each timing of a compressed row, why it is not faster; none of controls."""
    if row.first.role != "compressed":
        return ()
    places = list_timings(row)
    return tuple(
        ExplainedTiming(each, find_cause(row, each, places), describe_evidence(row, each, places))
        for each in places
    )


def find_cause(row: Row, timing: Timing, places: Sequence[Timing]) -> str | None:
    """Find why a compressed network's time does not follow its MACs.

    Args:
        row: A compressed row.
        timing: One of its places.
        places: All of them: a larger batch tells overhead from memory.

    Returns:
        The cause; None where the time is within 0.05 of what the MACs tell, or below.
    """
    if row.first.axis == "masked":
        return MASKED  # a ratio below 1 is noise there
    if row.first.axis == "quantised":
        if timing.deployed:
            return INTEGER if timing.gap > LEAST_GAP else None
        return ROUNDED
    if row.reached.macs <= 0:
        return WHOLE
    if timing.gap <= LEAST_GAP:
        return None
    if timing.low <= timing.macs:
        return NOISE
    if _find_larger_batch(timing, places):
        return OVERHEAD
    return SMALL if timing.batch == 1 else TRAFFIC


def explain_slow_latency(row: Row, name: str) -> str | None:
    """Say why a compressed network is not measurably faster; None if it is.

    Args:
        row: Any row.
        name: A latency without its endings, such as ``latency_cpu_b1``.
    """
    ratio = row.get(f"{name}_ratio")
    slowest = ratio.high if ratio.high is not None else ratio.mean
    if row.first.role != "compressed" or slowest is None:
        return None
    places = list_timings(row)
    timing = next((each for each in places if each.name == name), None)
    if timing is None:
        return None
    found = find_cause(row, timing, places)
    if slowest < 1 and found not in (MASKED, ROUNDED):
        return None
    return NOISE if found is None and slowest >= 1 else found


def describe_evidence(row: Row, timing: Timing, places: Sequence[Timing]) -> str:
    """Write the numbers of the record that tell why, in words."""
    told = [f"MACs ×{timing.macs:.2f}, time ×{timing.ratio:.2f}"]
    if row.first.axis == "masked":
        told.append(f"{100 * row.reached.weights:.3g}% of the weights are zeros, and are computed")
    elif row.first.axis == "dense" and row.reached.macs > 0:
        told.append(f"{timing.pace:.2f} times the baseline's MACs per ms")
        larger = _find_larger_batch(timing, places)
        if larger:
            told.append(f"at batch {larger.batch} time ×{larger.ratio:.2f}")
    size = row.get("size_bytes").mean
    if size is not None and row.first.axis == "dense":
        told.append(f"{_format_bytes(size)} of parameters")
    if timing.high - timing.low > LEAST_GAP:
        told.append(f"between ×{timing.low:.2f} and ×{timing.high:.2f}")
    return "; ".join(told)


def _find_larger_batch(timing: Timing, places: Sequence[Timing]) -> Timing | None:
    """Find the larger batch of the same timing, if it gains more than the noise of both."""
    for other in reversed(places):
        same = (other.device, other.deployed) == (timing.device, timing.deployed)
        gains = other.ratio < timing.ratio - LEAST_GAP and other.high < timing.low
        if same and other.batch > timing.batch and gains:
            return other
    return None


def _format_bytes(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
