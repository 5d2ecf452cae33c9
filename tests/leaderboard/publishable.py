"""Records made up for tests that pass every check, but for what a test changes."""

from __future__ import annotations

import hashlib
from typing import Any

from synthetic import record

from prunebench.record import Record
from prunebench.record.names import fitting_id, protocol_of


def publishable(level: float | None = 0.5, suite: str = "quick", **fields: Any) -> Record:
    """A record of which all parts fit; ``fields`` as of ``synthetic.record``."""
    found = record(level=level, reached=level, **fields)
    name = f"{found.role}-{found.pruner}-{level}-{found.seed}"
    network = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    excerpt = {
        "name": suite,
        "dataset": "digits",
        "model": "digits-cnn",
        "pruners": ["l1-filter"],
        "metrics": ["accuracy"],
        "seeds": [found.seed],
        **({} if level is None else {"levels": [level]}),
    }
    filled = found.model_copy(
        update={
            "suite": suite,
            "suite_excerpt": excerpt,
            "keys": {"network": network, "baseline": "b" * 32, "cells": {"accuracy": "a" * 32}},
            "provenance": {
                "packages": {"prunebench": "0.1.0", "torch": "2.15.0"},
                "processor": "a processor",
                "threads": 2,
                "plugins": {"pruners/l1-filter": "1 (prunebench 0.1.0)"},
            },
        }
    )
    return renamed(filled)


def publishable_baseline(suite: str = "quick", **fields: Any) -> Record:
    """The baseline that the others are compared with."""
    names = {"pruner": "baseline", "pruner_name": "baseline", "role": "baseline"}
    base = publishable(None, suite, **names, axis="none", sp2ps=1.0, half_width=0.0, **fields)
    return renamed(base.model_copy(update={"keys": {**base.keys, "network": "b" * 32}}))


def renamed(record: Record) -> Record:
    """The same record with the protocol and the id that fit what it holds."""
    there = record.model_copy(update={"protocol": protocol_of(record.conditions)})
    return there.model_copy(update={"id": fitting_id(there)})
