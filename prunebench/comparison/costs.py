"""Costs of two networks: parameters, MACs, bytes, and time measured in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from prunebench.intervals import median_interval
from prunebench.metrics.timing import LEAST_PAIRS, time_pairs
from prunebench.networks.counting import count_macs, list_parameters
from prunebench.networks.evaluation import to_module
from prunebench.networks.network import make_masks_permanent
from prunebench.networks.shared_weights import make_twin
from prunebench.networks.wrappers import unwrap
from prunebench.plan.environment import current
from prunebench.progress import counting

Measured = TypeVar("Measured")

PAIRS = 30
"""Timed pairs of forward passes at most, for each size of batch."""
SECONDS = 2.0
"""Seconds after which a size of batch gets no more pairs beyond the fifth."""
LONGEST = 6.0
"""Seconds that the fewest pairs of a batch may take; a larger batch is made smaller."""


@dataclass(frozen=True)
class NetworkCost:
    """Costs of one network, masks of torch.nn.utils.prune made permanent.

    Attributes:
        params: Parameters.
        nonzero_params: Those that are not zero.
        size_bytes: Bytes of all parameters and buffers.
        macs: Multiply-accumulates of one image; None where they cannot be counted.
    """

    params: int
    nonzero_params: int
    size_bytes: int
    macs: int | None


@dataclass(frozen=True)
class MedianTime:
    """A median with its 95% interval (of order statistics)."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class TimedPair:
    """Both networks timed in turns on the same batch.

    Attributes:
        batch: Images in the batch.
        pairs: Timed pairs of forward passes.
        baseline: Milliseconds of the baseline.
        pruned: Milliseconds of the pruned network.
        speedup: Baseline's time by pruned network's, pair by pair: 2 is twice as fast.
    """

    batch: int
    pairs: int
    baseline: MedianTime
    pruned: MedianTime
    speedup: MedianTime


@dataclass(frozen=True)
class ComparedCosts:
    """What both networks cost.

    Attributes:
        baseline: Of the baseline.
        pruned: Of the pruned network.
        times: For one image, and for a batch; empty where they could not be timed.
        machine: The processor or GPU and the threads that were timed.
        notes: What could not be counted or timed, and why.
    """

    baseline: NetworkCost
    pruned: NetworkCost
    times: tuple[TimedPair, ...]
    machine: str
    notes: tuple[str, ...] = ()


def measure_costs(
    baseline: nn.Module, pruned: nn.Module, batch: Tensor, quiet: bool = False
) -> ComparedCosts:
    """Count what two networks hold and compute, and time them in turns.

    Args:
        baseline: The network before pruning; it is left as it was.
        pruned: The network after pruning; likewise.
        batch: Normalised images, B×C×H×W: as many as the large batch has.
        quiet: Show no progress.
    """
    networks = [_make_plain(each) for each in (baseline, pruned)]
    notes: list[str] = []
    with counting(4, "costs measured", quiet) as progress:
        costs = []
        for done, (name, network) in enumerate(
            zip(("baseline", "pruned network"), networks, strict=True), 1
        ):
            macs = _attempt(lambda: _count(network, batch), f"MACs of the {name}", notes)  # noqa: B023
            costs.append(_describe(network, macs))
            progress(done)
        times = _attempt(lambda: _time(networks, batch, progress), "time", notes)
    return ComparedCosts(
        costs[0], costs[1], tuple(times or ()), _describe_machine(networks[0], batch), tuple(notes)
    )


def _make_plain(module: nn.Module) -> nn.Module:
    """Copy a network with zeros for its masks, which are multiplied anew in each forward pass."""
    network = make_twin(unwrap(module))
    make_masks_permanent(network)
    return network


def _attempt(measure: Callable[[], Measured], what: str, notes: list[str]) -> Measured | None:
    """Return what is measured; where it fails, note why: a cost must not end a comparison."""
    try:
        return measure()
    except torch.OutOfMemoryError:
        notes.append(f"{what}: not measured, out of memory")
    except Exception as error:  # whatever a network or a tracer may raise
        reason = " ".join(str(error).split())[:200]
        notes.append(f"{what}: not measured ({type(error).__name__}: {reason})")
    return None


def _count(network: nn.Module, batch: Tensor) -> int:
    return sum(count_macs(network, to_module(batch[:1], network)).values())


def _describe(network: nn.Module, macs: int | None) -> NetworkCost:
    parameters = list_parameters(network)
    held = {id(each): each for each in (*parameters, *network.buffers())}.values()
    return NetworkCost(
        params=sum(each.numel() for each in parameters),
        nonzero_params=sum(int(each.count_nonzero()) for each in parameters),
        size_bytes=sum(each.numel() * each.element_size() for each in held),
        macs=macs,
    )


def _time(
    networks: list[nn.Module], batch: Tensor, progress: Callable[[int], None]
) -> list[TimedPair]:
    one = _time_batch(networks, batch[:1])
    progress(3)
    per_image = (one.baseline.median + one.pruned.median) / 1e3
    fitting = int(LONGEST / (per_image * (LEAST_PAIRS + 1)))
    size = min(len(batch), max(fitting, 1))
    found = [one] if size == 1 else [one, _time_batch(networks, batch[:size])]
    progress(4)
    return found


def _time_batch(networks: list[nn.Module], batch: Tensor) -> TimedPair:
    inputs = to_module(batch, networks[0])
    before, after = time_pairs(
        networks[0], networks[1], inputs, repeats=PAIRS, warmup=1, seconds=SECONDS
    )
    return TimedPair(
        batch=len(batch),
        pairs=len(before),
        baseline=_summarise(before),
        pruned=_summarise(after),
        speedup=_summarise([a / b for a, b in zip(before, after, strict=True)]),
    )


def _summarise(values: list[float]) -> MedianTime:
    return MedianTime(statistics.median(values), *median_interval(values))


def _describe_machine(network: nn.Module, batch: Tensor) -> str:
    device = to_module(batch[:1], network).device
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    processor = current("cpu").processor
    plural = "" if threads == 1 else "s"
    return f"{processor}, {threads} thread{plural}, torch {torch.__version__}"
