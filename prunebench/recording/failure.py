"""Why a network could not be made: a row of the board as well, and never a better one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prunebench.plan.trial import Trial
from prunebench.record import Reached, Record
from prunebench.store import Store

LONGEST = 300  # characters of the reason


def find_failure(trial: Trial, store: Store, failed: Mapping[str, str]) -> str | None:
    """Return why a network could not be made, in one line; None where no step of it failed.

    Args:
        trial: The network.
        store: Where its artefacts are.
        failed: Messages of failed steps, by key.
    """
    if all(store.has(step.key) for step in trial.network.lineage()):
        return None
    messages = (failed.get(step.key) for step in trial.network.ancestors(set()))
    found = next((message for message in messages if message is not None), None)
    return None if found is None else (" ".join(found.split()) or "it failed")[:LONGEST]


def drop_results(record: Record) -> Record:
    """Return a failure's record without what may be left of an earlier or a half-made network."""
    nothing: dict[str, Any] = {
        "values": {},
        "reached": Reached.model_validate(dict.fromkeys(Reached.model_fields, 0.0)),
        **dict.fromkeys(("heatmaps", "recalls", "changed", "moved"), ()),
        "pictures": {},
        "times": {},
        "per_image": None,
    }
    return record.model_copy(update=nothing)
