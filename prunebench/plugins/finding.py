"""Finding plugins: five entry-point groups, loaded by name and only when named."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from prunebench.errors import RequestError, did_you_mean
from prunebench.plugins.base import Plugin, from_function
from prunebench.plugins.objects import PREFIX, find_class
from prunebench.plugins.wrong_parameters import make_request_error

KINDS = {
    "datasets": "prunebench.datasets.dataset:Dataset",
    "models": "prunebench.models.model:Model",
    "pruners": "prunebench.pruners.pruner:Pruner",
    "cams": "prunebench.cams.cam:Cam",
    "metrics": "prunebench.metrics.metric:Metric",
}

P = TypeVar("P", bound=Plugin)


@dataclass(frozen=True)
class Entry:
    """A plugin as a package registers it, not yet imported; or an object of this program."""

    kind: str
    name: str
    target: str
    package: str
    given: type[Plugin] | None = None

    @cached_property
    def plugin_class(self) -> type[Plugin]:
        """The plugin's class.

        Raises:
            RequestError: The plugin's module cannot be imported or is no plugin of its kind.
        """
        if self.given is not None:
            return self.given
        module, _, attribute = self.target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise RequestError(
                f"{self.kind[:-1]} {self.name!r} of package {self.package!r} is broken: importing "
                f"{self.target} failed with {type(error).__name__}: {error}"
            ) from error
        base = find_base(self.kind)
        if inspect.isfunction(found):
            return from_function(found, base)
        if not (inspect.isclass(found) and issubclass(found, base)):
            raise RequestError(
                f"{self.kind[:-1]} {self.name!r} of package {self.package!r} is broken: "
                f"{self.target} is neither a {base.__name__} class nor a function"
            )
        return found


def find_base(kind: str) -> type[Plugin]:
    """Return the base class of a kind of plugin."""
    module, _, name = KINDS[kind].partition(":")
    base: type[Plugin] = getattr(importlib.import_module(module), name)
    return base


@dataclass(frozen=True)
class Chosen(Generic[P]):
    """A plugin chosen by name, with its parameters."""

    kind: str
    name: str
    plugin: P

    @property
    def is_member(self) -> bool:
        """Whether the name is ``family/member``, which tells the parameter ``name``."""
        return "/" in self.name and not self.name.startswith(PREFIX)

    @cached_property
    def label(self) -> str:
        """The name, with the parameters that differ from their defaults."""
        if self.kind == "pruners" and self.is_member:
            return self.name  # checkpoint/LABEL: a name of the user's own
        parameters = self.plugin.changed_parameters()
        if self.is_member:
            parameters.pop("name", None)
        if self.kind == "datasets":  # for data, the folder's name says what it is
            set_paths = {name: getattr(self.plugin, name) for name in self.plugin.model_fields_set}
            parameters |= {k: v.name for k, v in set_paths.items() if isinstance(v, Path)}
        return self.name + _format_parameters(parameters)

    @cached_property
    def variant(self) -> str:
        """Of a metric: the parameters that the names of its values do not tell, or nothing."""
        unnamed: frozenset[str] = getattr(self.plugin, "unnamed_parameters", frozenset())
        changed = self.plugin.changed_parameters()
        return _format_parameters({k: v for k, v in changed.items() if k not in unnamed})

    def __reduce__(self) -> tuple[Any, ...]:
        # Classes made from functions cannot be pickled; names and parameters can.
        return choose, (self.kind, self.name, self.plugin.model_dump(exclude_unset=True))


def _format_parameters(parameters: dict[str, Any]) -> str:
    shown = ", ".join(
        f"{name}={_format_value(value)}" for name, value in sorted(parameters.items())
    )
    return f"({shown})" if shown else ""


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_format_value(v)}" for k, v in value.items()) + "}"
    return str(value)


@cache
def entries(kind: str) -> dict[str, tuple[Entry, ...]]:
    """Return every registered name of a kind, with all packages that claim it."""
    found: dict[str, dict[tuple[str, str], Entry]] = {}
    for point in entry_points(group=f"prunebench.{kind}"):
        entry = Entry(kind, point.name, point.value, _get_package(point))
        found.setdefault(point.name, {})[entry.package, entry.target] = entry
    return {
        name: tuple(claims[by] for by in sorted(claims)) for name, claims in sorted(found.items())
    }


def _get_package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "(unknown package)"


def find(kind: str, name: str, content: object = None) -> Entry:
    """Find a plugin by name; ``family/member`` is found as ``family``.

    Args:
        kind: One of ``KINDS``.
        name: The registered name; ``python/NAME`` for an object of this program.
        content: Of such an object, which of those of this name; the newest by default.

    Raises:
        RequestError: Nobody or more than one package registers the name.
    """
    if name.startswith(PREFIX):
        given = find_class(kind, name, content)
        return Entry(kind, name, "python:object", "(this program)", given)
    known = entries(kind)
    claims = known.get(name) or known.get(name.partition("/")[0])
    if not claims:
        raise RequestError(f"unknown {kind[:-1]} {name!r}; {did_you_mean(name, known)}")
    if len(claims) > 1:
        packages = " and ".join(repr(entry.package) for entry in claims)
        raise RequestError(f"{kind[:-1]} {name!r} is claimed by {packages}; uninstall one of them")
    return claims[0]


def choose(kind: str, name: str, parameters: dict[str, Any] | None = None) -> Chosen[Any]:
    """Find a plugin and validate its parameters.

    Args:
        kind: One of ``KINDS``.
        name: The registered name. In ``torchvision/resnet18`` the part after the slash is the
            family's parameter ``name``.
        parameters: The plugin's parameters, as written in a suite.

    Raises:
        RequestError: No such plugin, or a wrong parameter.
    """
    given = dict(parameters or {})
    entry = find(kind, name, given.get("content"))
    if name != entry.name:
        if "name" not in entry.plugin_class.model_fields:
            raise RequestError(f"unknown {kind[:-1]} {name!r}; {entry.name!r} has no members")
        given["name"] = name.partition("/")[2]
    try:
        return Chosen(kind, name, entry.plugin_class.model_validate(given))
    except ValidationError as error:
        raise make_request_error(error, f"{kind[:-1]} {name!r}", entry.plugin_class) from None
