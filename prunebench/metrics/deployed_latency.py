"""Deployed latency: how long a forward pass takes in ONNX Runtime, beside the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from prunebench.errors import RequestError
from prunebench.metrics.latency import Latency, noise
from prunebench.metrics.metric import Evidence, NotApplicable, Samples
from prunebench.metrics.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.networks import Network
    from prunebench.networks.onnx_export import Deployed


class DeployedLatency(Latency):
    """Median time of a forward pass in ONNX Runtime on the CPU, for one image and for a batch.

    Both networks are exported to ONNX and timed in turns. Here networks with 8-bit weights run
    integer kernels; masks of zeros are multiplied as before.
    """

    version: ClassVar[int] = 2
    gives: ClassVar[Mapping[str, Scale]] = {
        r"deployed_latency_\w+_ms": Scale("time", (0, inf)),
        r"deployed_latency_\w+_ratio": Scale("latency ratio", (0, inf), ""),
        r"deployed_throughput_\w+": Scale("time", (0, inf), "images/s", main=False),
    }

    @model_validator(mode="after")
    def _can_run(self) -> Self:
        from prunebench.networks.onnx_export import check_packages

        check_packages("metric 'deployed-latency'")
        return self

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor | Samples]:
        """Return named times and throughputs.

        For batch size B: ``deployed_latency_cpu_bB_ms``, its interquartile range
        ``deployed_latency_cpu_bB_iqr_ms``, ``deployed_latency_cpu_bB_ratio`` (median over pairs of
        compressed / baseline), and for the large batch ``deployed_throughput_cpu_bB`` (images a
        second); as ``deployed_cpu_bB``, the milliseconds of each timed pass.

        Raises:
            NotApplicable: A network cannot be exported.
        """
        values: dict[str, float | Tensor | Samples] = {}
        with TemporaryDirectory() as folder:
            baseline = self._deploy(evidence.baseline, Path(folder) / "baseline.onnx")
            evidence.progress(0.3, "baseline exported")
            network = self._deploy(evidence.network, Path(folder) / "network.onnx")
            evidence.progress(0.6, "network exported")
            for batch in (1, self.batch):
                values |= self._pairs(baseline, network, noise(evidence, batch))
        return values

    def _deploy(self, network: Network, path: Path) -> Deployed:
        import torch

        from prunebench.networks.onnx_export import Deployed, to_onnx

        try:
            to_onnx(network, path)
        except RequestError as error:
            raise NotApplicable(error.message) from None
        return Deployed(path, self.threads or torch.get_num_threads())

    def _pairs(
        self, baseline: Deployed, network: Deployed, images: Tensor
    ) -> dict[str, float | Samples]:
        from prunebench.metrics.timing import named_times, time_pairs

        before, after = time_pairs(
            baseline,
            network,
            images,
            repeats=self.repeats,
            warmup=self.warmup,
            seconds=self.seconds,
        )
        batch = len(images)
        return named_times(before, after, f"cpu_b{batch}", batch, prefix="deployed_")
