"""What a run says of itself in a log."""

from __future__ import annotations

import pytest

from prunebench.execution.progress import LONGEST_NAME, RunProgress
from prunebench.plan.keys import blueprint
from prunebench.plan.step_kinds import BASELINE
from prunebench.plugins import choose


def test_a_long_label_leaves_room_for_the_epoch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunebench.execution.progress.LINE_EVERY", -1.0)
    chosen = choose("models", "resnet56", {"training": {"epochs": 3, "lr": 0.123}})
    assert len(chosen.label) > LONGEST_NAME
    step = blueprint(BASELINE, plugin=chosen, identity={"name": "resnet56"}, seed=0).step()
    with caplog.at_level("INFO", "prunebench"), RunProgress(7) as progress:
        progress.working(step, 0.5, "epoch 2/3")
    (line,) = caplog.messages
    assert line.startswith(f"0/7 steps; baseline {chosen.label[:LONGEST_NAME]}…")
    assert line.endswith("epoch 2/3 50%")
    assert len(line) < 80
