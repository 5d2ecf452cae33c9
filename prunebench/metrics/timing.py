"""Timing forward passes of two networks, interleaved, on one device."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from prunebench.metrics.metric import Samples

LEAST_PAIRS = 5


def time_pairs(
    baseline: nn.Module,
    pruned: nn.Module,
    inputs: Tensor,
    *,
    repeats: int,
    warmup: int,
    seconds: float,
) -> tuple[list[float], list[float]]:
    """Time both networks on the same input, one after the other, again and again.

    What slows the machine for a while then slows both, and their ratio holds. Who goes first
    alternates.

    Args:
        baseline: The uncompressed network, on the input's device.
        pruned: The compressed network, on the input's device.
        inputs: B×C×H×W.
        repeats: Pairs to time.
        warmup: Pairs to run before.
        seconds: When this is spent, no pair is begun beyond the fifth.

    Returns:
        Milliseconds of each forward pass of the baseline and of the compressed network.
    """
    milliseconds: tuple[list[float], list[float]] = ([], [])
    with torch.inference_mode():
        for _ in range(warmup):
            _milliseconds(baseline, inputs)
            _milliseconds(pruned, inputs)
        end = perf_counter() + seconds
        for pair in range(repeats):
            if pair >= LEAST_PAIRS and perf_counter() > end:
                break
            turns = ((baseline, milliseconds[0]), (pruned, milliseconds[1]))
            for network, times in turns if pair % 2 == 0 else reversed(turns):
                times.append(_milliseconds(network, inputs))
    return milliseconds


def named_times(
    before: list[float], after: list[float], setup: str, batch: int, prefix: str = ""
) -> dict[str, float | Samples]:
    """Name what ``time_pairs`` measured.

    Args:
        before: Milliseconds of the baseline.
        after: Milliseconds of the compressed network.
        setup: Device and batch size, such as ``cpu_b1``.
        batch: Images in the batch.
        prefix: What names begin with.

    Returns:
        ``latency_SETUP_ms`` (median), ``latency_SETUP_iqr_ms``, ``latency_SETUP_ratio`` (median
        over pairs) and, for more than one image, ``throughput_SETUP`` in images a second; as
        ``SETUP``, each with the prefix, the milliseconds themselves.
    """
    typical = statistics.median(after)
    ratio = statistics.median(b / a for a, b in zip(before, after, strict=True))
    values: dict[str, float | Samples] = {
        f"{prefix}{setup}": Samples(tuple(before), tuple(after)),
        f"{prefix}latency_{setup}_ms": typical,
        f"{prefix}latency_{setup}_iqr_ms": interquartile_range(after),
        f"{prefix}latency_{setup}_ratio": ratio,
    }
    if batch > 1:
        values[f"{prefix}throughput_{setup}"] = batch / typical * 1e3
    return values


def _milliseconds(network: nn.Module, inputs: Tensor) -> float:
    if inputs.device.type != "cuda":
        start = perf_counter()
        network(inputs)
        return (perf_counter() - start) * 1e3
    event: Any = torch.cuda.Event
    begin, end = event(enable_timing=True), event(enable_timing=True)
    # Events are recorded on the current stream of the current device.
    with torch.cuda.device(inputs.device):
        begin.record()
        network(inputs)
        end.record()
        end.synchronize()
    return float(begin.elapsed_time(end))


def interquartile_range(values: list[float]) -> float:
    """Return the distance between the first and the third quartile."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def peak_memory(network: nn.Module, inputs: Tensor) -> int:
    """Return the GPU bytes that a forward pass needs at its peak: weights, input, activations.

    Whatever else is on the device, such as another network, is not counted.

    Args:
        network: The network, on a CUDA device.
        inputs: B×C×H×W, on that device.
    """
    own = [inputs, *network.parameters(), *network.buffers()]
    torch.cuda.reset_peak_memory_stats(inputs.device)
    before = torch.cuda.memory_allocated(inputs.device)
    with torch.inference_mode():
        network(inputs)
    used = torch.cuda.max_memory_allocated(inputs.device) - before
    return used + sum(tensor.numel() * tensor.element_size() for tensor in own)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute with this many CPU threads, and with as many as before afterwards."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
