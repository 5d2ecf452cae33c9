"""What a record is called: its id, and the digest of what makes rows comparable."""

from __future__ import annotations

import hashlib
import json

from prunebench.record.fields import Conditions
from prunebench.record.record import Record, slug


def protocol_of(conditions: Conditions) -> str:
    """Return the digest of the conditions, 16 hexadecimal digits: the protocol."""
    text = json.dumps(conditions.model_dump(mode="json"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def record_id(
    *,
    suite: str,
    dataset: str,
    model: str,
    pruner_name: str,
    level: float | None,
    round: int | None,
    seed: int,
    network: str,
    protocol: str,
) -> str:
    """Return a name for the record of one network, safe as a file's name.

    Args:
        suite: The suite's name.
        dataset: The data set's label, of which the name is kept.
        model: The model's label, likewise.
        pruner_name: The pruner's name, or what stands in its place.
        level: The level asked for.
        round: For methods with rounds, instead of the level.
        seed: The seed.
        network: Key of the network's step.
        protocol: Digest of the conditions.
    """
    parts = [suite, _name(dataset), _name(model).replace("/", "-"), pruner_name]
    if round is not None:
        parts.append(f"round{round}")
    elif level is not None:
        parts.append(f"{level:g}")
    # Networks that are equal may stand in several protocols, such as two recoveries.
    return slug("-".join([*parts, f"s{seed}", network[:6], protocol[:6]]))


def fitting_id(record: Record) -> str:
    """Return the name that fits what a record holds, with the protocol that it tells."""
    return record_id(
        suite=record.suite,
        dataset=record.dataset,
        model=record.model,
        pruner_name=record.pruner_name,
        level=record.level,
        round=record.round,
        seed=record.seed,
        network=str(record.keys.get("network", "")),
        protocol=record.protocol,
    )


def _name(label: str) -> str:
    return label.partition("(")[0]
