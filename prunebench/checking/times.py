"""Do the times of single passes give the published medians?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median

from prunebench.checking.problem import Problem, close
from prunebench.record import Record
from prunebench.record_parts import MOST_TIMES

PLACE = re.compile(r"(.*?)((?:cpu|cuda)_b(\d+))")
ROUNDING = 2e-3
"""Times are kept with four digits."""


def wrong_times(record: Record) -> Iterator[Problem]:
    """Names times that do not fit, and throughputs that are not those of their medians."""
    for place, times in record.times.items():
        if len(times.baseline) != len(times.network) or not times.network:
            wrong = f"{len(times.baseline)} of the baseline and {len(times.network)} of its own"
            yield Problem(f"times.{place}", wrong, "pairs of times")
        elif min(*times.baseline, *times.network) <= 0:
            yield Problem(f"times.{place}", "there is a time of 0 or less", "milliseconds")
        elif match := PLACE.fullmatch(place):
            typical = median(times.network)
            pairs = zip(times.baseline, times.network, strict=True)
            ratio = median(after / before for before, after in pairs)
            # Of more than so many, a part may have been kept.
            if len(times.network) <= MOST_TIMES // 2:
                name = f"{match[1]}latency_{match[2]}"
                yield from _median(record, f"{name}_ms", typical, place)
                yield from _median(record, f"{name}_ratio", ratio, place)
    for name, value in record.values.items():
        match = re.fullmatch(r"(.*?)throughput_((?:cpu|cuda)_b(\d+))", name)
        typical_ms = record.mean(f"{match[1]}latency_{match[2]}_ms") if match else None
        if match and typical_ms and value.mean is not None:
            wanted = int(match[3]) / typical_ms * 1e3
            if not close(value.mean, wanted):
                wrong = f"{value.mean:.6g} images a second do not fit the time of a batch"
                yield Problem(f"values.{name}.mean", wrong, f"{wanted:.6g}")


def _median(record: Record, name: str, wanted: float, place: str) -> Iterator[Problem]:
    found = record.mean(name)
    if found is None:
        yield Problem(f"values.{name}", "is missing", f"the median of times.{place}")
    elif not close(found, wanted, ROUNDING):
        wrong = f"{found:.6g} is not the median of times.{place}"
        yield Problem(f"values.{name}.mean", wrong, f"{wanted:.6g}")
