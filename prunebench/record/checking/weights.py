"""Can anybody fetch the weights that a record publishes?"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from prunebench.record import Record
from prunebench.record.checking.problem import Problem


def check_weights(record: Record) -> Iterator[Problem]:
    """Yield an address that others cannot fetch."""
    if record.weights is None:
        return
    try:
        parts = urlsplit(record.weights.url)
        reached = parts.scheme == "https" and bool(parts.hostname) and not parts.username
    except ValueError:
        reached = False
    if not reached:
        yield Problem("weights.url", f"is {record.weights.url!r}", "an address https://HOST/...")
    if record.failure:
        yield Problem("weights", "are of a network that could not be made", "null")
