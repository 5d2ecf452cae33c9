"""Do the times of single passes give the published medians?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from prunebench.record import Record, Times
from prunebench.record.checking.problem import Problem, close
from prunebench.record.checking.spread import ratios, spread
from prunebench.record.fields import MOST_TIMES
from prunebench.record.scales import bare_name, declaration_of

SETUP = re.compile(r"(\w*?)((?:cpu|cuda)_b(\d+))(\(.*\))?")
RATIO = re.compile(r"(\w*?)latency_((?:cpu|cuda)_b\d+)_ratio(\(.*\))?")
MEASURED = re.compile(r"(\w+_)?(latency|throughput|peak_memory)_\w+")
"""Values of metrics that are not installed and yet told to be times."""
ROUNDING = 2e-3
"""Times are kept with four digits."""
THINNED = 2.0
"""Of the 95% interval of the median, where only a part of more than ``MOST_TIMES`` was kept: those
left out were taken in the other order, or at other moments."""


def check_times(record: Record) -> Iterator[Problem]:
    """Yield times that do not fit, and throughputs that are not those of their medians."""
    for setup, times in record.times.items():
        if len(times.baseline) != len(times.network) or not times.network:
            wrong = f"{len(times.baseline)} of the baseline and {len(times.network)} of its own"
            yield Problem(f"times.{setup}", wrong, "pairs of times")
        elif min(*times.baseline, *times.network) <= 0:
            yield Problem(f"times.{setup}", "there is a time of 0 or less", "milliseconds")
        elif match := SETUP.fullmatch(setup):
            name, variant = f"{match[1]}latency_{match[2]}", match[4] or ""
            yield from _check_median(record, f"{name}_ms{variant}", times.network, setup)
            yield from _check_median(record, f"{name}_ratio{variant}", ratios(times), setup)
    for name, value in record.values.items():
        match = re.fullmatch(r"(\w*?)throughput_((?:cpu|cuda)_b(\d+))(\(.*\))?", name)
        typical_ms = (
            record.mean(f"{match[1]}latency_{match[2]}_ms{match[4] or ''}") if match else None
        )
        if match and typical_ms and value.mean is not None:
            wanted = int(match[3]) / typical_ms * 1e3
            if not close(value.mean, wanted):
                wrong = f"{value.mean:.6g} images a second do not fit the time of a batch"
                yield Problem(f"values.{name}.mean", wrong, f"{wanted:.6g}")


def find_times(record: Record, ratio: str) -> Times | None:
    """Return the times of which a value is the ratio, such as ``latency_cpu_b1_ratio``."""
    match = RATIO.fullmatch(ratio)
    return record.times.get(f"{match[1]}{match[2]}{match[3] or ''}") if match else None


def check_measured(record: Record) -> Iterator[Problem]:
    """Yield values that are said to be times and are not."""
    for name, value in record.values.items():
        if value.measured and not _is_timed(name):
            wrong = "is no time, and not taken anew in each run"
            yield Problem(f"values.{name}.measured", wrong, "false")


def _is_timed(name: str) -> bool:
    """Return whether a value is taken anew in each run: as declared, else as its name says."""
    found = declaration_of(name)
    if found is None:
        return MEASURED.fullmatch(bare_name(name)) is not None
    return found.metric is not None and found.metric.carries == "hardware"


def _check_median(
    record: Record, name: str, kept: Sequence[float], setup: str
) -> Iterator[Problem]:
    found, wanted = record.mean(name), median(kept)
    if found is None:
        yield Problem(f"values.{name}", "is missing", f"the median of times.{setup}")
    elif not (close(found, wanted, ROUNDING) or _is_thinned(found, kept)):
        wrong = f"{found:.6g} is not the median of times.{setup}"
        yield Problem(f"values.{name}.mean", wrong, f"{wanted:.6g}")


def _is_thinned(found: float, kept: Sequence[float]) -> bool:
    """Return whether a number may be the median of times of which these are only a part."""
    if len(kept) <= MOST_TIMES // 2 or (around := spread(kept)) is None:
        return False
    low = around.median - THINNED * (around.median - around.low)
    return low <= found <= around.median + THINNED * (around.high - around.median)
