"""How large a plan is, what of it is stored, and how long the rest may take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prunebench.plan.trial import Trial


@dataclass(frozen=True)
class Summary:
    """Counts of a plan.

    Attributes:
        cells: Leaves, those that share a step counted each.
        networks: Networks, the baselines among them.
        steps: Distinct steps, by kind.
        stored: Of these, the ones that are in the store already, by kind.
        seconds: Time that the missing steps took elsewhere in this store, where known.
        unknown: Missing steps without a known time.
    """

    cells: int
    networks: int
    steps: dict[str, int]
    stored: dict[str, int]
    seconds: float
    unknown: int


def summarise(
    trials: Iterator[Trial], stored: set[str], times: dict[tuple[str, str], float]
) -> Summary:
    """Count a plan without keeping it.

    Args:
        trials: The plan.
        stored: Keys of the store.
        times: Mean seconds of a step by kind and plugin name.
    """
    cells = networks = unknown = 0
    seconds = 0.0
    counts: dict[str, int] = {}
    found: dict[str, int] = {}
    seen: set[str] = set()
    for trial in trials:
        networks += 1
        for cell in trial.cells:
            cells += 1
            for step in cell.step.ancestors(seen):
                kind = step.kind.name
                if not step.kind.run:
                    continue
                counts[kind] = counts.get(kind, 0) + 1
                if step.key in stored:
                    found[kind] = found.get(kind, 0) + 1
                    continue
                time = times.get((kind, step.name))
                seconds += time or 0
                unknown += time is None
    return Summary(cells, networks, counts, found, seconds, unknown)
