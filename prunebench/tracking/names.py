"""What MLflow shows of a record: a run's name, its metrics, its parameters and its description."""

from __future__ import annotations

import re
from typing import Any

from prunebench.leaderboard.board.roles import name_reference
from prunebench.leaderboard.writers.markup import escape
from prunebench.record import Record, Value
from prunebench.record.comparable import SMALLER
from prunebench.record.scales import scale_of

VERSION = 3
"""Of the names and texts below: runs that were logged under another version are filled again."""

COST = "cost/"
CURVE = "curve/"


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
    """Return what the network is: parameters by which runs are grouped and filtered."""
    recovery = record.conditions.recovery or {}
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
        **{f"pruner.{k}": v for k, v in record.pruner_parameters.items()},
        **{f"recovery.{k}": v for k, v in recovery.items()},
    }


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
