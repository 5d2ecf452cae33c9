"""What a pruner tells of itself, beside its result; of methods around others, of these too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from prunebench.plugins.context import Context
from prunebench.plugins.nesting import Nesting
from prunebench.pruners.pruner import Pruner

if TYPE_CHECKING:
    from prunebench.networks import Network

LONGEST = 300  # characters of a note


def list_notes(pruner: Pruner, network: Network, context: Context) -> list[str]:
    """Return what a pruner, and those that it names, tell of their work; each once, as one line.

    Args:
        pruner: The pruner.
        network: The compressed network.
        context: As for ``compress``.
    """
    found = (note for each in _list_pruners(pruner) for note in each.notes(network, context))
    return list(dict.fromkeys(" ".join(note.split())[:LONGEST] for note in found))


def reads_explanations(pruner: Pruner) -> bool:
    """Return whether a pruner, or one that it names, chooses by explanations what it removes."""
    return any(each.reads_explanations for each in _list_pruners(pruner))


def expected_axis(pruner: Pruner) -> Literal["dense", "masked", "quantised"]:
    """Return the axis of a pruner's networks, without having one: see ``record.Record``."""
    from prunebench.pruners.distillation import DistillationPruner
    from prunebench.pruners.int8 import Int8

    if isinstance(pruner, Int8):
        return "quantised"
    dense = isinstance(pruner, DistillationPruner) or any(
        each.counts_channels() for each in _list_pruners(pruner)
    )
    return "dense" if dense else "masked"


def _list_pruners(pruner: Pruner) -> Iterator[Pruner]:
    """Yield a pruner, and those that its parameters name."""
    yield pruner
    if isinstance(pruner, Nesting):
        for parameter, kind in pruner.nested.items():
            if kind == "pruners":
                yield from _list_pruners(pruner.chosen(parameter).plugin)
