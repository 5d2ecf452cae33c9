"""What a method that computes or trains something first may use, and what it declares so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol

from prunebench.errors import RequestError
from prunebench.plugins.base import Plugin
from prunebench.plugins.objective import Objective

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from prunebench.data import Normalisation
    from prunebench.plugins.recipe import Recipe


class Checkpoint(Protocol):
    """Scratch space of a long step; it is dropped when the step's result is stored."""

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Keep this state, replacing the last one."""

    def load(self) -> dict[str, Tensor] | None:
        """Return the last state kept by an interrupted attempt, or None."""


class NoCheckpoint:
    """Keeps nothing: for use outside a store."""

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Do nothing."""

    def load(self) -> dict[str, Tensor] | None:
        """Return None."""
        return None


class Trainer(Protocol):
    """Trains a network in place on the training split, and leaves it in evaluation mode."""

    def __call__(
        self,
        module: nn.Module,
        recipe: Recipe,
        objective: Objective = ...,
        normalise: Normalisation | None = None,
    ) -> None:
        """Train a network.

        An interrupted training goes on from its last whole epoch, by way of the checkpoint: one
        training a step. What it costs is counted.

        Args:
            module: The network.
            recipe: The options.
            objective: What is minimised, and what else happens at each step.
            normalise: How the network wants to see images; as the baseline by default.
        """


def _no_training(*args: object, **kwargs: object) -> None:
    raise RequestError("this method trains, and there is no training data here")


def _no_earlier(epoch: int) -> nn.Module:
    raise RequestError("this method goes back to an earlier epoch, and none is known here")


def _no_building(seed: int) -> nn.Module:
    raise RequestError("this method builds the network anew, and it is not known how")


@dataclass(frozen=True)
class Context:
    """What a compression method may use besides the network and the level.

    Attributes:
        example: One normalised input, 1×C×H×W, on the device.
        batches: ``batches(n, batch_size)`` yields normalised inputs and labels of n images of the
            training split, chosen by the seed.
        classes: Number of classes.
        normalisation: How the network sees images; None where that is not known.
        fixed_channels: Layers whose output channels must stay (the classifier among them).
        seed: The seed of all that compresses this baseline; draw all random numbers from it.
        device: Where the network is.
        baseline: The uncompressed network (where something is prepared of a compressed one, that
            one); a copy, to be left as it is.
        round: For methods with rounds: which one this is, from 1.
        origin: For methods with rounds: the last round's network as it was before its recovery,
            or the baseline; to rewind to. A copy, to be left as it is.
        train: Trains a network on the training split.
        earlier: ``earlier(k)`` returns the baseline as it was after k epochs of its own training,
            0 for its initialisation (or the weights it was given, where they were adapted); it is
            trained again that far. Raises RequestError where the
            baseline was not trained that long.
        recipe: How the baseline was trained from scratch; None where it came with weights, or
            nothing is known of it.
        build: ``build(seed)`` returns the baseline's network with new random weights.
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
    normalisation: Normalisation | None = None
    fixed_channels: frozenset[str] = frozenset()
    round: int | None = None
    origin: nn.Module | None = None
    train: Trainer = _no_training
    earlier: Callable[[int], nn.Module] = _no_earlier
    recipe: Recipe | None = None
    build: Callable[[int], nn.Module] = _no_building
    prepared: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    progress: Callable[[float, str], None] = lambda fraction, text: None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)


class Preparation(Plugin):
    """Something computed once of a network, and shared by all that ask for it.

    Pruners prepare of the baseline, for all levels; explanation methods of each network explained.
    Two methods that ask for the same preparation (same class, same parameters) of one network share
    it.
    """

    method: ClassVar[str] = "compute"
    name: ClassVar[str]

    trains: ClassVar[bool] = False
    """Whether it trains a network."""

    def __hash__(self) -> int:
        """Hash by value, since equal ones are one; parameters may be mappings."""
        return hash((type(self), self.model_dump_json()))

    def needs(self) -> tuple[Preparation, ...]:
        """Return preparations that this one builds upon."""
        return ()

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Compute the tensors that ``context.prepared[name]`` will hold."""
        raise NotImplementedError


Prepared = Mapping[Preparation, Mapping[str, "Tensor"]]
"""What preparations computed."""

NOTHING: Prepared = MappingProxyType({})
