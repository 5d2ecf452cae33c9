"""Deployed latency: what is reported, and that networks are run as they were exported."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.metrics import Evidence
from prunebench.metrics.metric import NotApplicable
from prunebench.networks import Architecture, Network, onnx_export
from prunebench.plugins import choose

pytest.importorskip("onnxruntime")

ARCHITECTURE = Architecture(
    factory="made.py:here", classes=2, channels=3, size=(8, 8), mean=(0,) * 3, std=(1,) * 3
)


def evidence(network: nn.Module) -> Evidence:
    small = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    load = {
        "network": lambda: Network(network.eval(), ARCHITECTURE),
        "baseline": lambda: Network(small.eval(), ARCHITECTURE),
    }
    return Evidence(load, torch.device("cpu"))


@pytest.mark.slow
def test_what_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    forward = onnx_export.Deployed.forward

    def note(self: onnx_export.Deployed, images: Tensor) -> Tensor:
        calls.append((id(self), len(images)))
        return forward(self, images)

    monkeypatch.setattr(onnx_export.Deployed, "forward", note)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    parameters = {"repeats": 6, "warmup": 1, "batch": 16, "threads": 1}
    metric = choose("metrics", "deployed-latency", parameters).plugin
    values = dict(metric.compute(evidence(network)))
    place = "deployed_latency_cpu_b"
    samples = [values.pop(f"deployed_cpu_b{batch}") for batch in (1, 16)]
    assert [len(times) for pair in samples for times in pair] == [6] * 4
    assert set(values) == {
        *(f"{place}1_{ending}" for ending in ("ms", "iqr_ms", "ratio")),
        *(f"{place}16_{ending}" for ending in ("ms", "iqr_ms", "ratio")),
        "deployed_throughput_cpu_b16",
    }
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    assert values["deployed_throughput_cpu_b16"] == pytest.approx(
        16 / values[f"{place}16_ms"] * 1000
    )
    assert [batch for _, batch in calls] == [1] * 14 + [16] * 14
    order = [who for who, _ in calls[2:6]]
    assert order == [order[0], order[1], order[1], order[0]]
    assert metric.carries == "hardware"


@pytest.mark.slow
def test_a_network_that_cannot_be_exported_has_no_value() -> None:
    class Deciding(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            found = super().forward(input.flatten(1))
            return found if found.sum() > 0 else -found

    metric = choose("metrics", "deployed-latency", {"repeats": 5}).plugin
    with pytest.raises(NotApplicable, match="cannot be exported"):
        metric.compute(evidence(Deciding(192, 2)))


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        onnx_export, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    with pytest.raises(
        RequestError,
        match=r"'deployed-latency' needs the package onnxruntime: pip install 'prunebench\[onnx\]'",
    ):
        choose("metrics", "deployed-latency")
