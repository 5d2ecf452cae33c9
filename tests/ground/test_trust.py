"""Verdicts by the published thresholds."""

from __future__ import annotations

import pytest

from prunebench.trust import THRESHOLDS, trusted


@pytest.mark.parametrize(
    ("cam", "low", "undefined", "verdict"),
    [
        ("grad-cam", 0.95, 0.0, True),
        ("grad-cam", 0.949, 0.0, False),
        ("ablation-cam", 0.91, 0.05, True),
        ("ablation-cam", 0.89, 0.05, False),
        ("ablation-cam", 1.0, 0.051, None),
        ("ablation-cam", None, 0.0, None),
        ("grad-cam++", 1.0, 0.0, None),
        ("somebody-elses-cam", 1.0, 0.0, None),
    ],
)
def test_verdict(cam: str, low: float | None, undefined: float, verdict: bool | None) -> None:
    assert trusted(cam, low, undefined) is verdict


def test_thresholds_are_the_published_ones() -> None:
    assert THRESHOLDS == {"grad-cam": 0.95, "ablation-cam": 0.90}
