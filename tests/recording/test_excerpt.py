"""The suite in a record: as it was written, and enough to make the row again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plan.trial import Trial
from prunebench.record.comparable import SMALLER
from prunebench.recording.excerpt import excerpt
from prunebench.store.digests import Digests
from prunebench.suite import load_suite

Write = Callable[..., Path]
HERE = Environment(device="cpu", processor="some processor", threads=2, torch="2.15.0")


def planned(path: Path) -> list[Trial]:
    return list(plan_trials(Identities(load_suite(path), HERE, Digests())))


def keys(trial: Trial) -> dict[str, Any]:
    cells = {(cell.metric, cell.cam): cell.step.key for cell in trial.known}
    return {"network": trial.network.key, **{str(name): key for name, key in cells.items()}}


@pytest.mark.parametrize(
    "lines",
    [
        {"seeds": "[0, 3]", "metrics": "[accuracy, sp2ps, {top-overlap: {share: 0.3}}]"},
        {"pruners": "[none, l1-unstructured, l1-filter: {scope: layerwise}]"},
        {"pruners": "[toy-lottery, hrank, l1-filter: {target: macs}]", "rounds": "[1, 3]"},
        {"pruners": "[lamp, l1-filter]", "levels": "{dense: [0.2], masked: [0.2, 0.5]}"},
        {"pruners": "[small: {at: [0.2, 0.7]}, l1-filter]", "seeds": "[0, 3, 1]"},
        {"cams": "[grad-cam, aem-rbf]"},
        {"recovery": "[null, {epochs: 2, distillation: {temperature: 2}}, {epochs: 1}]"},
        {"explain": "{images: 9, classes: own, target_layer: {toy-cnn: '0'}}"},
        {"explain": "{images: 9, classes: label, pictures: false}", "name": None},
        {"model": "{toy-cnn: {training: {epochs: 1, lr: 1e-3}}}", "cams": "grad-cam"},
        {"model": '{toy-cnn: {weights: "${TOY_WEIGHTS}/weights.safetensors"}}'},
    ],
)
def test_every_row_is_planned_again_with_the_same_keys(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: dict[str, Any]
) -> None:
    monkeypatch.setenv("TOY_WEIGHTS", str(tmp_path))
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    path = toy_suite(**lines)
    suite = load_suite(path)
    for trial in planned(path):
        written = json.dumps(excerpt(suite, trial))
        assert str(tmp_path) not in written  # variables stay as they were written
        again = tmp_path / "again.yaml"
        again.write_text(written, encoding="utf-8")
        assert load_suite(again).name == suite.name
        found = planned(again)
        wanted = (trial.role, trial.name, trial.setting.seed)
        (same,) = [t for t in found if (t.role, t.name, t.setting.seed) == wanted]
        assert keys(same) == keys(trial)
        # Nothing but the row, the baseline and the controls.
        always = {"baseline", "floor", "control", "retrained"}
        assert {t.role for t in found} <= always | {trial.role}
        assert sum(t.role in SMALLER for t in found) == (trial.role in SMALLER)
