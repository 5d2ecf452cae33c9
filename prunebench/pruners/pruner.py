"""The contract of a compression method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from prunebench.plugin import Plugin

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from prunebench.network import Network


class Checkpoint(Protocol):
    """Scratch space of a long step; it is dropped when the step's result is stored."""

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Keeps this state, replacing the last one."""

    def load(self) -> dict[str, Tensor] | None:
        """Returns the last state kept by an interrupted attempt, or None."""


class NoCheckpoint:
    """Keeps nothing: for use outside a store."""

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Does nothing."""

    def load(self) -> dict[str, Tensor] | None:
        """Returns None."""
        return None


@dataclass(frozen=True)
class Context:
    """What a compression method may use besides the network and the level.

    Attributes:
        example: One normalised input, 1×C×H×W, on the device.
        batches: ``batches(n, batch_size)`` yields normalised inputs and labels of n images of the
            training split, chosen by the seed.
        classes: Number of classes.
        fixed_channels: Layers whose output channels must stay (the classifier among them).
        seed: A seed of this step's own; draw all random numbers from it.
        device: Where the network is.
        baseline: The uncompressed network, to rewind to; a copy, free to be changed.
        round: For methods with rounds: which one this is, from 1.
        prepared: Results of the method's preparations, by their name.
        progress: ``progress(fraction, text)``.
        checkpoint: Scratch space that survives a kill.
    """

    example: Tensor
    batches: Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]
    classes: int
    seed: int
    device: torch.device
    baseline: nn.Module
    fixed_channels: frozenset[str] = frozenset()
    round: int | None = None
    prepared: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    progress: Callable[[float, str], None] = lambda fraction, text: None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)


class Preparation(Plugin):
    """Something computed once from the baseline, without a level, and shared by all levels.

    Two methods that ask for the same preparation (same class, same parameters) share it.
    """

    method: ClassVar[str] = "compute"
    name: ClassVar[str]

    def needs(self) -> tuple[Preparation, ...]:
        """Preparations that this one builds upon."""
        return ()

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Computes the tensors that ``context.prepared[name]`` will hold."""
        raise NotImplementedError


class Pruner(Plugin):
    """Base class of compression methods."""

    method: ClassVar[str] = "compress"

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "continuous"
    """What a level means: any fraction in [0, 1); round k, made from the recovered round k-1;
    or nothing (one network)."""

    def prepare(self) -> tuple[Preparation, ...]:
        """Steps to run once, before any level."""
        return ()

    def round_count(self) -> int:
        """For methods with rounds: how many there are."""
        return 0

    def level_of_round(self, k: int) -> float:
        """For methods with rounds: the fraction removed after round k."""
        raise NotImplementedError

    def check(self, network: nn.Module, context: Context) -> None:
        """Looks for what is wrong with the request before anything is computed.

        Args:
            network: A copy of the untrained baseline.
            context: As for ``compress``, without preparations.

        Raises:
            RequestError: Something is, such as weights that do not fit.
        """

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module | Network:
        """Compresses a network.

        Args:
            network: A copy of the baseline (or of the recovered last round); it may be changed.
            level: Fraction in [0, 1) to remove.
            context: What else may be used.

        Returns:
            The compressed network: the module that came in, with masks of torch.nn.utils.prune or
            with channels removed, or a ``Network`` of another architecture.
        """
        raise NotImplementedError
