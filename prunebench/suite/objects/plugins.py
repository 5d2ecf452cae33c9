"""An object of a suite made a plugin class, kept under ``python/NAME`` while this program runs."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any

from pydantic import Field, create_model
from torch import nn

from prunebench.errors import RequestError
from prunebench.plugins import entries
from prunebench.plugins.base import Plugin, from_function
from prunebench.plugins.finding import find_base
from prunebench.plugins.objects import BY_NAME, PREFIX, Named, keep_class
from prunebench.suite.objects.content import Unreadable, digest
from prunebench.suite.objects.images import GivenImages, find_changing, is_images, read_splits
from prunebench.suite.objects.networks import (
    GivenFunction,
    GivenModule,
    Shape,
    check_function,
    take_module,
)
from prunebench.suite.objects.own_code import NoContent

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


def register(kind: str, given: Any, shapes: tuple[Shape, ...] = ()) -> tuple[str, dict[str, Any]]:
    """Make an object a plugin that a suite can name.

    Args:
        kind: One of ``KINDS``.
        given: The object, or a ``Named`` one.
        shapes: Of a model: those of the suite's data sets, where they are known.

    Returns:
        Its name in suites and its parameters there: an object of a registered class has that one's.

    Raises:
        RequestError: It is nothing of this kind, or what it is cannot be read and it has no name.
    """
    named, value = (given.name, given.value) if isinstance(given, Named) else ("", given)
    if isinstance(value, Plugin) and not named and (name := _find_registered(kind, type(value))):
        parameters = value.model_dump(mode="json", exclude_unset=True)
        member = parameters.pop("name", None) if "name" in type(value).model_fields else None
        return f"{name}/{member}" if member else name, parameters
    if inspect.isfunction(value) and not named and (name := _find_registered(kind, value)):
        return name, {}
    own = named or _name(kind, value)
    if not _NAME.fullmatch(own):
        raise RequestError(
            f"{own!r} is no name; expected up to 60 letters, digits, '-', '_' and '.': "
            "prunebench.named(NAME, OBJECT) gives one"
        )
    made, parameters, described = _make_class(kind, own, value)
    content = _read_content(kind, own, described, bool(named))
    if kind == "models":
        made.shapes = shapes  # type: ignore[attr-defined]
    keep_class(kind, PREFIX + own, content, made)
    return PREFIX + own, {"content": content, **parameters}


def _find_registered(kind: str, given: Any) -> str | None:
    """Find the name under which a package registers a class or function."""
    target = f"{given.__module__}:{given.__qualname__}"
    found = [name for name, claims in entries(kind).items() if claims[0].target == target]
    return found[0] if found else None


def _name(kind: str, value: Any) -> str:
    if kind == "datasets" and isinstance(value, list | tuple | dict):
        return "images"
    return str(getattr(value, "__name__", type(value).__name__))


def _make_class(kind: str, name: str, value: Any) -> tuple[type[Plugin], dict[str, Any], Any]:
    """Return a plugin class, the parameters of the object, and what its content is read of."""
    base = find_base(kind)
    if isinstance(value, base):
        parameters = value.model_dump(mode="json", exclude_unset=True)
        return _with_content(name, type(value)), parameters, type(value)
    if inspect.isclass(value) and issubclass(value, base):
        return _with_content(name, value), {}, value
    if kind == "datasets" and is_images(value):
        made = create_model(name, __base__=GivenImages)
        made.splits = read_splits(value)
        return made, {}, Unreadable(changing) if (changing := find_changing(value)) else made.splits
    if kind == "models" and isinstance(value, nn.Module):
        module = create_model(name, __base__=GivenModule)
        module.given = take_module(value)
        return module, {}, module.given
    if kind == "models" and callable(value):
        check_function(value)
        function = create_model(name, __base__=GivenFunction)
        function.given = value
        return function, {}, value
    if kind != "datasets" and callable(value) and not inspect.isclass(value):
        made_of = from_function(value, base)
        if kind == "pruners" and not hasattr(value, "plugin_random"):
            made_of.random = True  # nobody said that it is not
        return _with_content(name, made_of), {}, value
    raise RequestError(f"a {type(value).__name__} is no {kind[:-1]}; {_EXPECTED[kind]}")


_EXPECTED = {
    "datasets": "expected a name, a pair (images, labels), a torch Dataset, a DataLoader, or these "
    "by split: {'train': ..., 'test': ...}",
    "models": "expected a name, a torch.nn.Module, or a function of classes, channels and size",
    "pruners": "expected a name, a Pruner, or a function of network, level and context",
    "cams": "expected a name, a Cam, or a function of a trace",
    "metrics": "expected a name or a Metric",
}


def _with_content(name: str, made: type[Plugin]) -> type[Plugin]:
    """Return a class with the parameter ``content``, which enters keys."""
    fields: Any = {"content": (str, Field(description="digest of the class or function"))}
    return create_model(name, __base__=made, __doc__=made.__doc__, **fields)


def _read_content(kind: str, name: str, described: Any, named: bool) -> str:
    """Return the digest of an object; of one that cannot be read but has a name, ``BY_NAME``."""
    try:
        return digest(described)
    except NoContent as error:
        if not named:
            raise RequestError(
                f"what {name!r} is cannot be read, so that its results could not be told from "
                f"others ({error}); give it a name of your own, prunebench.named(NAME, OBJECT), "
                "and another one whenever it changes"
            ) from None
        logger.warning(
            "%s %r is known by its name alone (%s): give it another name whenever it changes, keep "
            "its results out of stores that you share; they cannot be published",
            kind[:-1],
            PREFIX + name,
            error,
        )
        return BY_NAME
