"""Do the times of single passes give the published medians?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from prunebench.record import Record
from prunebench.record.checking.problem import Problem, close
from prunebench.record.checking.spread import ratios, spread
from prunebench.record.parts import MOST_TIMES

PLACE = re.compile(r"(\w*?)((?:cpu|cuda)_b(\d+))(\(.*\))?")
MEASURED = re.compile(r"(\w+_)?(latency|throughput|peak_memory)_\w+")
ROUNDING = 2e-3
"""Times are kept with four digits."""
THINNED = 2.0
"""Of the 95% interval of the median, where only a part of more than ``MOST_TIMES`` was kept: those
left out were taken in the other order, or at other moments."""


def wrong_times(record: Record) -> Iterator[Problem]:
    """Names times that do not fit, and throughputs that are not those of their medians."""
    for place, times in record.times.items():
        if len(times.baseline) != len(times.network) or not times.network:
            wrong = f"{len(times.baseline)} of the baseline and {len(times.network)} of its own"
            yield Problem(f"times.{place}", wrong, "pairs of times")
        elif min(*times.baseline, *times.network) <= 0:
            yield Problem(f"times.{place}", "there is a time of 0 or less", "milliseconds")
        elif match := PLACE.fullmatch(place):
            name, variant = f"{match[1]}latency_{match[2]}", match[4] or ""
            yield from _median(record, f"{name}_ms{variant}", times.network, place)
            yield from _median(record, f"{name}_ratio{variant}", ratios(times), place)
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


def false_times(record: Record) -> Iterator[Problem]:
    """Names values that are said to be times, and whose names are not those of times."""
    for name, value in record.values.items():
        if value.measured and not MEASURED.fullmatch(re.split(r"[/(]", name, maxsplit=1)[0]):
            wrong = "is no time, and not taken anew in each run"
            yield Problem(f"values.{name}.measured", wrong, "false")


def _median(record: Record, name: str, kept: Sequence[float], place: str) -> Iterator[Problem]:
    found, wanted = record.mean(name), median(kept)
    if found is None:
        yield Problem(f"values.{name}", "is missing", f"the median of times.{place}")
    elif not (close(found, wanted, ROUNDING) or _thinned(found, kept)):
        wrong = f"{found:.6g} is not the median of times.{place}"
        yield Problem(f"values.{name}.mean", wrong, f"{wanted:.6g}")


def _thinned(found: float, kept: Sequence[float]) -> bool:
    """Whether a number may be the median of times of which these are only every second or so."""
    if len(kept) <= MOST_TIMES // 2 or (around := spread(kept)) is None:
        return False
    low = around.median - THINNED * (around.median - around.low)
    return low <= found <= around.median + THINNED * (around.high - around.median)
