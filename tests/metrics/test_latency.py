"""Latency: names and consistency of what is reported, and an untouched process afterwards."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pytest
import torch
from torch import nn

from prunebench.errors import RequestError
from prunebench.metrics import Evidence
from prunebench.metrics.timing import interquartile_range, threads, time_pairs
from prunebench.networks import Architecture, Network
from prunebench.plugins import choose


class Recorder(nn.Module):
    """Notes each of its forward passes in a shared list."""

    def __init__(self, name: str, calls: list[tuple[str, int, bool]]) -> None:
        super().__init__()
        self.name, self.calls = name, calls
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append((self.name, len(x), torch.is_inference_mode_enabled()))
        result: torch.Tensor = self.layer(x)
        return result


ARCHITECTURE = Architecture(
    factory="made.py:here", classes=2, channels=3, size=(8, 8), mean=(0,) * 3, std=(1,) * 3
)


def evidence(calls: list[tuple[str, int, bool]]) -> Evidence:
    networks = {
        reading: Network(Recorder(reading, calls).eval(), ARCHITECTURE)
        for reading in ("network", "baseline")
    }
    load = {reading: (lambda network=network: network) for reading, network in networks.items()}
    return Evidence(load, torch.device("cpu"))


def measure(calls: list[tuple[str, int, bool]], **parameters: int) -> dict[str, Any]:
    metric = choose("metrics", "latency", {"repeats": 6, "warmup": 1, **parameters}).plugin
    return dict(metric.compute(evidence(calls)))


def test_what_is_reported() -> None:
    values = measure([], batch=16)
    samples = {name: values.pop(name) for name in ("cpu_b1", "cpu_b16")}
    assert set(values) == {
        "latency_cpu_b1_ms",
        "latency_cpu_b1_iqr_ms",
        "latency_cpu_b1_ratio",
        "latency_cpu_b16_ms",
        "latency_cpu_b16_iqr_ms",
        "latency_cpu_b16_ratio",
        "throughput_cpu_b16",
    }
    assert all(math.isfinite(value) and value >= 0 for value in values.values())
    expected = 16 / values["latency_cpu_b16_ms"] * 1000
    assert values["throughput_cpu_b16"] == pytest.approx(expected)
    for place, (before, after) in samples.items():
        assert len(before) == len(after) == 6
        assert values[f"latency_{place}_ms"] == median(after)
        ratio = median(b / a for a, b in zip(before, after, strict=True))
        assert values[f"latency_{place}_ratio"] == ratio


def test_networks_take_turns_and_who_goes_first_alternates() -> None:
    calls: list[tuple[str, int, bool]] = []
    measure(calls, batch=4)
    assert [size for _, size, _ in calls] == [1] * 14 + [4] * 14
    order = [name for name, _, _ in calls[2:14]]
    assert order == ["baseline", "network", "network", "baseline"] * 3
    assert all(inference for _, _, inference in calls)


def test_the_same_pairs_make_the_ratio() -> None:
    before, after = time_pairs(
        nn.Identity(), nn.Identity(), torch.zeros(1), repeats=8, warmup=0, seconds=60
    )
    assert len(before) == len(after) == 8


def test_a_spent_budget_leaves_five_pairs() -> None:
    before, after = time_pairs(
        nn.Identity(), nn.Identity(), torch.zeros(1), repeats=50, warmup=0, seconds=1e-9
    )
    assert len(before) == len(after) == 5


def test_no_hooks_and_the_number_of_threads_is_restored() -> None:
    number, seen = torch.get_num_threads(), []
    given = evidence([])
    for network in (given.network, given.baseline):
        network.module.layer.forward = spy(network.module.layer.forward, seen)
    metric = choose("metrics", "latency", {"repeats": 5, "threads": number + 1}).plugin
    metric.compute(given)
    assert set(seen) == {number + 1}
    assert torch.get_num_threads() == number
    for network in (given.network, given.baseline):
        for layer in network.module.modules():
            assert not layer._forward_hooks
            assert not layer._forward_pre_hooks
            assert not layer.training


def spy(forward, seen: list[int]):
    """Notes the number of threads at each call."""

    def call(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return forward(x)

    return call


def test_threads_are_restored_after_a_failure() -> None:
    number = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), threads(number + 1):
        raise ValueError("stop")
    assert torch.get_num_threads() == number


def test_random_numbers_of_the_process_are_left_alone() -> None:
    given, metric = evidence([]), choose("metrics", "latency", {"repeats": 5}).plugin
    state = torch.get_rng_state()
    metric.compute(given)
    assert torch.equal(torch.get_rng_state(), state)


def test_interquartile_range() -> None:
    assert interquartile_range([1.0, 2.0, 3.0, 4.0, 100.0]) == 2.0
    assert interquartile_range([3.0]) == 0.0


@pytest.mark.parametrize("wrong", [{"repeats": 1}, {"batch": 1}, {"threads": 0}, {"seconds": 0}])
def test_wrong_parameters_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        choose("metrics", "latency", wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_both_devices_are_timed() -> None:
    given = evidence([])
    for network in (given.network, given.baseline):
        network.to("cuda")
    gpu = Evidence(
        {"network": lambda: given.network, "baseline": lambda: given.baseline},
        torch.device("cuda"),
    )
    values = choose("metrics", "latency", {"repeats": 5}).plugin.compute(gpu)
    for name in ("latency_cpu_b1_ms", "latency_cuda_b1_ratio", "throughput_cuda_b64"):
        assert values[name] > 0
    assert "latency_cpu_b64_ms" not in values
    inputs, maps = 64 * 3 * 64 * 4, 64 * 2 * 36 * 4
    assert values["peak_memory_cuda_b64_bytes"] >= inputs + maps
    assert next(given.network.module.parameters()).device.type == "cuda"
