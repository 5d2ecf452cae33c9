"""A comparison as JSON: finite numbers, null where something is undefined or was not measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prunebench.comparison.answer import give_answer
from prunebench.comparison.chance import list_labels
from prunebench.comparison.gate import CheckedCondition, measure, measure_agreement
from prunebench.comparison.measures import MEASURES
from prunebench.comparison.verdict import conclude, give_verdict, judge_methods
from prunebench.intervals import Interval

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks

SCHEMA = 1
"""Raised when a field changes its meaning or goes; new fields do not raise it."""


def make_report(
    found: ComparedNetworks, conditions: Sequence[CheckedCondition] = ()
) -> dict[str, Any]:
    """Return what was found as JSON's types; ``docs/definitions.md`` has the fields.

    Args:
        found: The comparison.
        conditions: Conditions that it was held against.
    """
    verdicts = judge_methods(found)
    report = {
        "schema": SCHEMA,
        "answer": give_answer(found),
        "conclusion": conclude(found),
        "verdict": give_verdict(found),
        "withheld": found.withheld,
        "warnings": list(found.warnings),
        "images": found.images,
        "class_policy": found.class_policy,
        "layers": dict(zip(("baseline", "pruned"), found.layers, strict=True)),
        "scores": {
            str(cam): {
                **{name: _describe(measure(found, str(cam), name)) for name in MEASURES},
                "threshold": row["threshold"],
                "trusted": verdicts[str(cam)],
                "undefined": row["undefined"],
                "zero_map_fraction_baseline": row["zero_map_fraction_baseline"],
                "zero_map_fraction_pruned": row["zero_map_fraction_pruned"],
            }
            for cam, row in found.scores.iterrows()
        },
        "agreement": _describe(measure_agreement(found)),
        "accuracy": found.accuracy
        and {
            "baseline": found.accuracy.baseline,
            "pruned": found.accuracy.pruned,
            "drop": _describe(found.accuracy.drop),
        },
        "controls": {
            label: _describe_control(found, label) for label in list_labels(found.controls)
        },
        "cost": found.cost,
        "conditions": [
            {
                "name": each.condition.name,
                "cam": each.condition.cam,
                "bound": each.condition.bound,
                "mean": each.mean,
                "end": each.end,
                "met": each.met,
                "images": each.images,
                "line": each.line,
            }
            for each in conditions
        ],
        "passed": all(each.met for each in conditions) if conditions else None,
        "about": list(found.about),
    }
    cleaned: dict[str, Any] = _clean(report)
    return cleaned


def write_report(
    path: Path, found: ComparedNetworks, conditions: Sequence[CheckedCondition] = ()
) -> None:
    """Write ``make_report`` to a file; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(make_report(found, conditions), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8", newline="\n")


def _describe(value: Interval) -> dict[str, Any]:
    return {"mean": value.mean, "low": value.low, "high": value.high, "images": value.n}


def _describe_control(found: ComparedNetworks, label: str) -> dict[str, Any]:
    rows = found.controls.loc[label]
    scores = {
        str(cam): {
            **{name: {"mean": row[name]} for name in MEASURES},
            "sp2ps": {"mean": row["sp2ps"], "low": row["sp2ps_low"], "high": row["sp2ps_high"]},
            "undefined": row["undefined"],
        }
        for cam, row in rows.iterrows()
    }
    first = rows.iloc[0]
    return {"scores": scores, "agreement": first["agreement"], "accuracy": first["accuracy"]}


def _clean(value: Any) -> Any:
    """Return a value as JSON's types, null for what is no finite number."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
