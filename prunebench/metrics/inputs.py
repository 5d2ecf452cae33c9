"""What a metric may read: of each input, the steps it is read from and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from prunebench.errors import RequestError, did_you_mean
from prunebench.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.networks import Network


class Loader(Protocol):
    """Loads results of the steps that a metric's step reads, by their role."""

    def network(self, role: str) -> Network:
        """Load a network: a copy of the metric's own."""

    def tensor(self, role: str, name: str) -> Tensor:
        """Load a tensor of a result."""

    def maps(self, role: str) -> Tensor:
        """Load maps at input size, in [0, 1], M×H×W."""

    def numbers(self, role: str) -> Mapping[str, Tensor]:
        """Load what the method tells of each map, by name, M each."""

    def labels(self) -> Tensor:
        """Load the true classes of all test images, N."""

    def images(self, batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        """Load the explained images batch by batch."""

    def masks(self) -> Tensor:
        """Load how far each pixel belongs to the object, M×H×W."""

    def explainer(self) -> Any:
        """Load the explanation method at work."""


Values = dict[str, Callable[[], Any]]
"""What ``Evidence`` is given: by name, a function that loads it."""


@dataclass(frozen=True)
class Input:
    """One thing that a metric may read.

    Attributes:
        parents: Roles of the steps it is read from.
        load: Returns what ``Evidence`` gives of it, loaded when it is asked for.
        of_maps: Whether there is one for every explanation method, rather than for every network.
    """

    parents: tuple[str, ...]
    load: Callable[[Loader], Values]
    of_maps: bool = False


def _network(role: str) -> Input:
    return Input((role,), lambda load: {role: partial(load.network, role)})


def _predictions(role: str) -> Input:
    return Input(
        (role, "data"),
        lambda load: {role: partial(load.tensor, role, "logits"), "labels": load.labels},
    )


def _targets(load: Loader) -> Values:
    return {
        "classes": partial(load.tensor, "targets", "classes"),
        "explained": partial(load.tensor, "targets", "images"),
    }


def _maps(role: str) -> Input:
    def load(of: Loader) -> Values:
        numbers = role.replace("maps", "numbers")
        return {
            role: partial(of.maps, role),
            numbers: partial(of.numbers, role),
            **_targets(of),
        }

    return Input((role, "targets"), load, of_maps=True)


INPUTS: Mapping[str, Input] = {
    "network": _network("network"),
    "baseline": _network("baseline"),
    "predictions": _predictions("predictions"),
    "baseline_predictions": _predictions("baseline_predictions"),
    "images": Input(
        ("network", "data", "targets"),  # of the network: its normalisation
        lambda load: {"images": lambda: load.images, **_targets(load)},
    ),
    "masks": Input(("data", "targets"), lambda load: {"masks": load.masks, **_targets(load)}),
    "maps": _maps("maps"),
    "baseline_maps": _maps("baseline_maps"),
    "masked": Input(
        ("masked", "targets"),
        lambda load: {
            "masked": lambda: (load.maps("masked"), load.tensor("masked", "logits")),
            **_targets(load),
        },
        of_maps=True,
    ),
    "explainer": Input(
        ("maps", "targets"),
        lambda load: {"explainer": load.explainer, **_targets(load)},
        of_maps=True,
    ),
}


def inputs_of(metric: Metric) -> dict[str, Input]:
    """Return what a metric reads, by name.

    Raises:
        RequestError: It declares something that cannot be read.
    """
    for name in metric.reads:
        if name not in INPUTS:
            raise RequestError(
                f"`reads` of {type(metric).__name__} declares {name!r}; "
                f"{did_you_mean(name, INPUTS)}"
            )
    return {name: INPUTS[name] for name in metric.reads}


def reads_maps(metric: Metric) -> bool:
    """Return whether a metric is computed once for every explanation method."""
    return any(each.of_maps for each in inputs_of(metric).values())


def parent_roles(metric: Metric) -> tuple[list[str], list[str]]:
    """Return the roles of the steps that a metric reads, in the order in which keys hold them.

    Args:
        metric: The metric.

    Returns:
        Those that are the same for every explanation method, and those of one method: always its
        maps among them, which name it.
    """
    inputs = inputs_of(metric)
    needed = {role for each in inputs.values() for role in each.parents}

    def ordered(of_maps: bool, shared: tuple[str, ...]) -> list[str]:
        own = [name for name, each in inputs.items() if each.of_maps is of_maps and name in needed]
        return own + [role for role in shared if role in needed and role not in own]

    once = ordered(False, ("network", "data", "targets"))
    if not reads_maps(metric):
        return once, []
    needed.add("maps")
    return once, ordered(True, ("maps",))
