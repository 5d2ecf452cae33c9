"""Python text out of a store: run where the suite names the same itself, and else refused."""

from __future__ import annotations

from collections.abc import Iterator

from prunebench.networks import Architecture
from prunebench.networks.factory import Code, find_source_file, read_code
from prunebench.plan.step_kinds import COMPRESSED
from prunebench.plan.steps import Step
from prunebench.store import Artefact, StoreError


def check_code(architecture: Architecture, step: Step, artefact: Artefact) -> None:
    """Refuse a network that is built by Python code which only the store names.

    A key says what went into a result, but whoever can write a store can put anything under it. So
    text, function and arguments must be those that one of the network's pruners names, on this
    machine.

    Args:
        architecture: How the network is built.
        step: The network's.
        artefact: Where the architecture was read.

    Raises:
        StoreError: They are not.
    """
    factory, source = architecture.factory, architecture.source
    if find_source_file(factory) is None:
        return
    if read_code(factory, architecture.parameters, source) not in _find_named(step):
        raise StoreError(
            f"holds Python code that the suite does not name, {factory}: it stands under `source` "
            "in artefact.json; `--trust-store` runs it, and `prunebench store rm "
            f"{artefact.key}` removes it",
            where=str(artefact.folder),
        )


def _find_named(network: Step) -> Iterator[Code]:
    """Yield the code that the pruners name by which a network was made."""
    for step in network.lineage():
        if step.kind == COMPRESSED:
            yield from step.plugin.plugin.code()
