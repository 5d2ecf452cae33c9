"""What MLflow shows of a record: a run's name, its metrics, its parameters and its description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from prunebench.leaderboard.board.roles import name_reference
from prunebench.leaderboard.writers.markup import escape
from prunebench.record import Record, Value
from prunebench.record.comparable import SMALLER
from prunebench.record.scales import scale_of

VERSION = 4
"""Of the names and texts below: runs that were logged under another version are filled again."""

COST = "cost/"
CURVE = "curve/"
PARAMETER = "parameter/"
MOST_PARTS = 30
"""Entries of a mapping that are parameters of their own; a larger one is one text."""


def run_name(record: Record) -> str:
    """Return a run's name: ``l1-filter 50% (target=macs) resnet20 seed 0``.

    Parameters that have parameters of their own are shortened; MLflow's columns tell them in full.
    """
    parts = [name_reference(record) or record.pruner_name]
    if record.round is not None:
        parts.append(f"round {record.round}")
    if record.level is not None:
        parts.append(f"{100 * record.level:.4g}%")
    if told := record.pruner.removeprefix(record.pruner_name):
        parts.append(_shortened(told))
    return " ".join([*parts, record.model.partition("(")[0], f"seed {record.seed}"])


def _shortened(parameters: str) -> str:
    before = None
    while parameters != before:  # from the innermost to the outermost
        before, parameters = parameters, re.sub(r"\{[^{}]*\}", "…", parameters)
    return parameters


def metric_name(name: str) -> str:
    """Return a value's name as MLflow accepts it: ``x/grad-cam++`` as ``x/grad-cam-pp``."""
    return re.sub(r"[^\w./ -]", "_", name.replace("++", "-pp"))


def metrics(record: Record) -> dict[str, float]:
    """Return all numbers of a record under MLflow's names, ``SECTION/NAME``.

    Values of maps are sections by themselves (``sp2ps/grad-cam``); means over images of what a
    network predicts have no section (``accuracy``); what its metric declares to be a cost, or else
    what is one number a network, is ``cost/macs``.
    """
    found = {
        (COST if _is_cost(name, value) else "") + metric_name(name): value.mean
        for name, value in record.values.items()
        if value.mean is not None
    }
    if record.failure:
        return {} if record.level is None else {f"{COST}level": record.level}
    reached = {
        "macs_ratio": 1 - record.reached.macs,
        "params_ratio": 1 - record.reached.params,
        "weights_ratio": 1 - record.reached.weights,
        "level": record.level,
    }
    return found | {COST + name: ratio for name, ratio in reached.items() if ratio is not None}


def _is_cost(name: str, value: Value) -> bool:
    """Return whether a value is what a network costs: as declared, else one number a network."""
    if "/" in re.sub(r"\(.*?\)", "", name):  # of maps
        return False
    scale = scale_of(name)
    return value.n is None if scale is None else scale.is_cost


def params(record: Record) -> dict[str, Any]:
    """Return what the network is: parameters by which runs are grouped and filtered.

    Those of plugins have names of their own, ``pruner.target`` and ``model.training.epochs``.
    """
    return {
        "dataset": record.dataset,
        "model": record.model,
        "pruner": record.pruner_name,
        "level": record.level,
        "round": record.round,
        "seed": record.seed,
        "role": record.role,
        "target_layer": record.conditions.target_layer,
        "class_policy": record.conditions.class_policy,
        **dict(_flatten("dataset", _written_parameters(record, "dataset"))),
        **dict(_flatten("model", _written_parameters(record, "model"))),
        **dict(_flatten("pruner", record.pruner_parameters)),
        **dict(_flatten("recovery", record.conditions.recovery or {})),
    }


def numbers(record: Record) -> dict[str, float]:
    """Return the parameters that are numbers, as metrics: so that a chart can have them as axes."""
    return {
        PARAMETER + metric_name(name): float(value)
        for name, value in params(record).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _written_parameters(record: Record, key: str) -> dict[str, Any]:
    """Return the parameters of a plugin as the suite has them."""
    written = record.suite_excerpt.get(key)
    parameters = next(iter(written.values()), None) if isinstance(written, dict) else None
    return parameters if isinstance(parameters, dict) else {}


def _flatten(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a parameter by their names, ``training.epochs``."""
    if isinstance(value, dict) and len(value) <= MOST_PARTS:
        for key, part in value.items():
            yield from _flatten(f"{name}.{metric_name(str(key))}", part)
    else:
        yield name, value


def description(record: Record) -> str:
    """Return a network's results in two sentences of markdown; of a failure, why it failed."""
    if record.failure:
        return f"{escape(run_name(record))} could not be made: {escape(record.failure)}"
    parts = []
    if (accuracy := record.mean("accuracy")) is not None:
        drop = record.mean("accuracy_drop")
        change = "" if drop is None else f" ({-100 * drop:+.2f} points)"
        parts.append(f"accuracy {100 * accuracy:.2f}%{change}")
    if record.role in SMALLER:
        reached = record.reached
        pruned = {"weights": reached.weights, "MACs": reached.macs, "parameters": reached.params}
        parts.append(", ".join(f"{100 * part:.4g}% of {what}" for what, part in pruned.items()))
        parts[-1] += " pruned"
    lines = [f"{escape(run_name(record))}: {'; '.join(parts)}." if parts else ""]
    kept = {
        name.partition("/")[2]: value.mean
        for name, value in sorted(record.values.items())
        if name.startswith("sp2ps/") and value.mean is not None
    }
    if kept:
        scores = ", ".join(f"{escape(cam)} {mean:.3f}" for cam, mean in kept.items())
        lines.append(f"Attention preserved (Sp2PS): {scores}.")
    return " ".join(line for line in lines if line)
