"""The kinds of step: how far a result of each holds, and what carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Carries = Literal["portable", "numeric", "hardware"]
"""How far a result holds: everywhere; on the same device type and precision; on the same hardware
only, where the step also runs alone on its machine."""


@dataclass(frozen=True)
class Kind:
    """A kind of step.

    Attributes:
        name: Its name in keys, in the store and on the command line.
        run: What carries it out, a ``file:function`` of ``stages``; empty for a source, which is
            there without being carried out.
        version: Raise it when the step computes something else: old results are then not found.
        carries: How far a result holds; metrics say so for themselves.
        together: Whether all steps of this kind that read the same are carried out as one task:
            all explanations of one network share their passes.
        changes_network: Whether its result is a network made from its parent ``network``.
        preflight: Whether data, model and target layer are looked at before any is carried out.
        condition: Whether rows are comparable only if its version is the same.
    """

    name: str
    run: str = ""
    version: int = 1
    carries: Carries = "numeric"
    together: bool = False
    changes_network: bool = False
    preflight: bool = False
    condition: bool = False


DATASET = Kind("dataset", carries="portable")
BASELINE = Kind("baseline", "baseline:make_baseline", preflight=True, condition=True)
PREPARED = Kind("prepared", "compress:prepare")
COMPRESSED = Kind("compressed", "compress:compress", changes_network=True, preflight=True)
RECOVERED = Kind("recovered", "recover:recover", changes_network=True, condition=True)
PREDICTED = Kind("predicted", "predict:predict")
TARGETS = Kind("targets", "predict:choose_targets", carries="portable", condition=True)
EXPLAINED = Kind("explained", "explain:explain", together=True, preflight=True, condition=True)
MASKED = Kind("masked", "explain:explain_masked")
RANDOMISED = Kind("randomised", "baseline:randomise", changes_network=True)
SCORED = Kind("scored", "score:score")

KINDS = {
    kind.name: kind
    for kind in (
        DATASET,
        BASELINE,
        PREPARED,
        COMPRESSED,
        RECOVERED,
        PREDICTED,
        TARGETS,
        EXPLAINED,
        MASKED,
        RANDOMISED,
        SCORED,
    )
}
