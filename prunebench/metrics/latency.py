"""Latency: how long a forward pass takes, beside the baseline's in the same process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from prunebench.metrics.metric import Evidence, Metric, Reading, Samples
from prunebench.metrics.scale import Scale
from prunebench.seeding import derive

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from prunebench.networks import Network


class Latency(Metric):
    """Median time of a forward pass for one image and for a batch, after warm-up.

    The CPU is timed always (on a GPU run at batch 1 only), the GPU where the run has one, by CUDA
    events.
    """

    version: ClassVar[int] = 2
    reads: ClassVar[tuple[Reading, ...]] = ("network", "baseline")
    carries: ClassVar[Literal["portable", "numeric", "hardware"]] = "hardware"
    higher_is_better: ClassVar[bool | None] = False
    unit: ClassVar[str] = "ms"
    unnamed_parameters: ClassVar[frozenset[str]] = frozenset(
        {"batch", "repeats", "seconds", "threads", "warmup"}
    )
    gives: ClassVar[Mapping[str, Scale]] = {
        r"latency_\w+_ms": Scale("time", (0, inf)),
        r"latency_\w+_ratio": Scale("latency ratio", (0, inf), ""),
        r"throughput_\w+": Scale("time", (0, inf), "images/s", main=False),
        r"peak_memory_\w+_bytes": Scale("memory", (0, inf), "bytes", whole=True, main=False),
    }

    batch: int = Field(64, ge=2, description="images of the large batch")
    repeats: int = Field(30, ge=5, description="timed pairs of forward passes, at most")
    warmup: int = Field(3, ge=1, description="pairs of forward passes before them")
    seconds: float = Field(
        3.0, gt=0, description="when spent, a batch size gets no more pairs beyond the fifth"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; as set for the run")

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor | Samples]:
        """Return named times, throughputs and, on a GPU, peak memory.

        For device D and batch size B: ``latency_D_bB_ms``, its interquartile range
        ``latency_D_bB_iqr_ms``, ``latency_D_bB_ratio`` (median over pairs of compressed /
        baseline), for the large batch ``throughput_D_bB`` (images a second), and on a GPU
        ``peak_memory_cuda_bB_bytes``; as ``D_bB``, the milliseconds of each timed pass.
        """
        from prunebench.metrics.timing import threads

        values: dict[str, float | Tensor | Samples] = {}
        with threads(self.threads):
            for device, batch in self._list_setups(evidence.device):
                values |= self._time(evidence, device, batch)
        return values

    def _list_setups(self, device: torch.device) -> Iterator[tuple[torch.device, int]]:
        import torch

        yield torch.device("cpu"), 1
        if device.type == "cuda":
            yield device, 1
        yield device, self.batch

    def _time(
        self, evidence: Evidence, device: torch.device, batch: int
    ) -> dict[str, float | Samples]:
        from prunebench.metrics.timing import named_times, peak_memory, time_pairs

        baseline, pruned = _on(evidence.baseline, device), _on(evidence.network, device)
        inputs = noise(evidence, batch).to(device)
        before, after = time_pairs(
            baseline.module,
            pruned.module,
            inputs,
            repeats=self.repeats,
            warmup=self.warmup,
            seconds=self.seconds,
        )
        setup = f"{device.type}_b{batch}"
        values = named_times(before, after, setup, batch)
        if device.type == "cuda":
            values[f"peak_memory_{setup}_bytes"] = float(peak_memory(pruned.module, inputs))
        return values


def _on(network: Network, device: torch.device) -> Network:
    """Return the network on a device: a copy where it has to move, which changes the module."""
    here = next(network.module.parameters()).device
    return network if here.type == device.type else network.copy().to(device)


def noise(evidence: Evidence, batch: int) -> Tensor:
    """Return noise to time with, batch×C×H×W, on the CPU; the same for both networks."""
    import torch

    generator = torch.Generator().manual_seed(derive(evidence.seed, "latency", batch))
    return torch.randn(evidence.network.example(batch).shape, generator=generator)
