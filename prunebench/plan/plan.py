"""From a suite to its graph: every network to be made, and every step behind its numbers.

Nothing here computes with tensors or touches a device; a million cells are planned in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from prunebench.plan.branch import Branch
from prunebench.plan.cell_filter import CellFilter
from prunebench.plan.keys import Identities, blueprint
from prunebench.plan.step_kinds import DATASET
from prunebench.plan.trial import Trial


def plan_trials(identities: Identities, where: CellFilter | None = None) -> Iterator[Trial]:
    """Plan every network of a suite, in the suite's order.

    The baseline and the controls are in wherever anything beside them is chosen.

    Args:
        identities: The suite, and what enters keys beside it.
        where: Chooses cells; all by default.

    Yields:
        A network with all its cells.
    """
    suite = identities.suite
    for dataset in suite.datasets:
        data = blueprint(DATASET, plugin=dataset, identity=identities.of(dataset)).step()
        for model, recovery, seed in product(suite.models, suite.recoveries, suite.seeds):
            yield from Branch(identities, dataset, data, model, recovery, seed).trials(where)
