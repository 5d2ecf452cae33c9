"""A suite, as written, cut down to one of its rows."""

from __future__ import annotations

from typing import Any

from prunebench.plan.trial import Trial
from prunebench.suite import Suite
from prunebench.suite.options import DEFAULT_CONTROL

ALL_ROWS = ("cams", "cam", "metrics", "metric", "explain")
"""What is the same for all rows of a suite."""


def excerpt(suite: Suite, trial: Trial) -> dict[str, Any]:
    """Return a suite, as written, that makes one row of another suite again."""

    def only(key: str, chosen: Any, among: tuple[Any, ...]) -> Any:
        written = suite.raw.get(key + "s", suite.raw.get(key))
        return written[among.index(chosen)] if isinstance(written, list) else written

    setting = trial.setting
    kept: dict[str, Any] = {"name": suite.name}  # where none is written, the file's
    kept |= {k: v for k, v in suite.raw.items() if k in ALL_ROWS}
    layers = (suite.raw.get("explain") or {}).get("target_layer")
    if isinstance(layers, dict):
        own = {k: v for k, v in layers.items() if k == setting.model.name}
        kept["explain"] = {**kept["explain"], "target_layer": own or None}
    kept["dataset"] = only("dataset", setting.dataset, suite.datasets)
    kept["model"] = only("model", setting.model, suite.models)
    kept["seeds"] = [setting.seed]
    if trial.role == "twin":
        kept["seeds"].append(trial.network.seed)
    recoveries = suite.raw.get("recovery")
    if recoveries is not None:
        among = suite.recoveries
        kept["recovery"] = (
            recoveries[among.index(setting.recovery)]
            if isinstance(recoveries, list)
            else recoveries
        )
    kept["pruners"] = [_written_pruner(suite, trial)]
    if trial.round is not None:
        kept["rounds"] = [trial.round]
    elif trial.level is not None:
        kept["levels"] = [trial.level]
    return kept


def _written_pruner(suite: Suite, trial: Trial) -> Any:
    written = suite.raw.get("pruners", suite.raw.get("pruner", []))
    entries = written if isinstance(written, list) else [written]
    if trial.pruner is None:
        return DEFAULT_CONTROL
    # The control may have been added in front of what was written.
    position = suite.pruners.index(trial.pruner) - (len(suite.pruners) - len(entries))
    entry = entries[position] if position >= 0 else DEFAULT_CONTROL
    if parameter := trial.pruner.plugin.levels_parameter:
        name, parameters = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        return {name: {**(parameters or {}), parameter: [trial.level]}}
    return entry
