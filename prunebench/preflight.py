"""What can only be seen with the data at hand, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prunebench.branch import Branch
from prunebench.environment import Environment
from prunebench.errors import RequestError
from prunebench.store import Store
from prunebench.work import workspace

if TYPE_CHECKING:
    from prunebench.network import Network


def check(branches: Iterable[Branch], store: Store, environment: Environment) -> None:
    """Loads the data, builds each model, loads weights, looks at target layers and pruners.

    Args:
        branches: Data sets and models to check.
        store: Where the run will happen.
        environment: The device of the run.

    Raises:
        RequestError: The data is corrupt, weights do not fit, or the target layer does not exist
            or is too small.
    """
    checked = set()
    for branch in branches:
        pair = (branch.data.key, id(branch.model))  # seeds and recoveries change nothing here
        if pair in checked:
            continue
        checked.add(pair)
        from prunebench.cams.target_layer import check_target_layer
        from prunebench.stages.baseline import untrained

        data = workspace(store.root, environment).data(branch.data)
        for split in ("train", "test"):
            if not len(getattr(data, split)):
                raise RequestError(f"the {split} split is empty", where=branch.dataset.label)
        network = untrained(branch.model, data, seed=0)
        _check_pruners(branch, network)
        if not branch.target_layer:
            continue  # nothing is explained
        try:
            check_target_layer(
                network.module,
                branch.target_layer,
                network.example(),
                minimum=branch.model.plugin.minimum_map,
                layout=branch.model.plugin.layout(),
            )
        except RequestError as error:
            hint = f"; `explain: {{target_layer: {{{branch.model.name}: LAYER}}}}` chooses one"
            where = f"model {branch.model.name!r}"
            raise RequestError(str(error) + hint, where=where) from None
        copied = network.copy().module
        for cam in branch.suite.cams:
            try:
                cam.plugin.check(copied, network.example())
            except RequestError as error:
                where = f"model {branch.model.name!r}"
                raise RequestError(f"cam {cam.name!r}: {error}", where=where) from None


def _check_pruners(branch: Branch, network: Network) -> None:
    from prunebench.pruners import Context
    from prunebench.stages.compress import fixed_channels

    fixed = frozenset(fixed_channels(network))
    for pruner in branch.suite.pruners:
        context = Context(
            example=network.example(),
            batches=lambda images, batch_size: iter(()),
            classes=network.architecture.classes,
            seed=0,
            device=network.example().device,
            baseline=network.copy().module,
            fixed_channels=fixed,
        )
        pruner.plugin.check(network.copy().module, context)
