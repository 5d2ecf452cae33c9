"""What can only be seen with the data at hand, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prunebench.errors import RequestError
from prunebench.execution.given_weights import warn_of_normalisation
from prunebench.execution.tasks import open_workspace
from prunebench.plan.environment import Environment
from prunebench.plan.trial import Setting
from prunebench.store import Store
from prunebench.suite import Suite

if TYPE_CHECKING:
    from prunebench.models import Model
    from prunebench.networks import Network


def check(
    suite: Suite, settings: Iterable[Setting], store: Store, environment: Environment
) -> None:
    """Load the data, build each model, load weights, look at target layers and pruners.

    Args:
        suite: What will run.
        settings: Data sets and models to check.
        store: Where the run will happen.
        environment: The device of the run.

    Raises:
        RequestError: The data is corrupt, weights do not fit, a network's answer is not the
            image's own, or the target layer does not exist or is too small.
    """
    checked = set()
    for setting in settings:
        pair = (setting.data.key, setting.model.label)  # seeds and recoveries change nothing here
        if pair in checked:
            continue
        checked.add(pair)
        from prunebench.cams.target_layer import check_target_layer
        from prunebench.execution.stages.baseline import build_untrained

        data = open_workspace(store.root, environment, store.trusted).data(setting.data)
        for split in ("train", "test"):
            if not len(getattr(data, split)):
                raise RequestError(f"the {split} split is empty", where=setting.dataset.label)
        network = build_untrained(setting.model, data, seed=0)
        _check_answers(network, setting.model.name)
        warn_of_normalisation(setting, network, data)
        _check_pruners(suite, network, setting.model.plugin)
        if not setting.target_layer:
            continue  # nothing is explained
        try:
            check_target_layer(
                network.module,
                setting.target_layer,
                network.example(),
                minimum=setting.model.plugin.minimum_map,
                layout=setting.model.plugin.layout(),
            )
        except RequestError as error:
            hint = f"; `explain: {{target_layer: {{{setting.model.name}: LAYER}}}}` chooses one"
            where = f"model {setting.model.name!r}"
            raise RequestError(str(error) + hint, where=where) from None
        copied = network.copy().module
        for cam in suite.cams:
            try:
                cam.plugin.check(copied, network.example())
            except RequestError as error:
                where = f"model {setting.model.name!r}"
                raise RequestError(f"cam {cam.name!r}: {error}", where=where) from None


def _check_answers(network: Network, model: str) -> None:
    from prunebench.pruners.output_check import check_network

    classes = network.architecture.classes
    try:
        check_network(network.module, network.example(), classes, "the network")
    except RequestError as error:
        raise RequestError(error.message, where=f"model {model!r}") from error.__cause__


def _check_pruners(suite: Suite, network: Network, model: Model) -> None:
    from prunebench.execution.stages.baseline import find_own_recipe
    from prunebench.execution.stages.context import find_fixed_channels
    from prunebench.pruners import Context

    fixed = frozenset(find_fixed_channels(network))
    for pruner in suite.pruners:
        context = Context(
            example=network.example(),
            batches=lambda images, batch_size: iter(()),
            classes=network.architecture.classes,
            seed=0,
            device=network.example().device,
            baseline=network.copy().module,
            fixed_channels=fixed,
            recipe=find_own_recipe(model),
        )
        pruner.plugin.check(network.copy().module, context)
