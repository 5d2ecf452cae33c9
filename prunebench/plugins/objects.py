"""Plugins that are objects of this Python program: found by name while it runs, and only then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prunebench.errors import RequestError
from prunebench.plugins.base import Plugin

PREFIX = "python/"
"""What the names of such plugins begin with: ``python/my_network``."""
BY_NAME = "by-name"
"""Their ``content`` where it could not be read: they are known by their name alone."""

_classes: dict[tuple[str, str], dict[str, type[Plugin]]] = {}


@dataclass(frozen=True, eq=False)
class Named:
    """An object of a suite, under a name of the caller's own: see ``named``."""

    name: str
    value: Any


def named(name: str, value: Any) -> Named:
    """Give an object of a suite a name.

    Where what the object is cannot be read (a lambda, a data set that draws its images anew), the
    name alone tells its results from others: choose another one whenever the object changes. Such
    results cannot be published.

    Args:
        name: Letters, digits, ``-``, ``_`` and ``.``.
        value: A data set, a model, a pruner, an explanation method or a metric.

    Example:
        >>> import prunebench as pb
        >>> pb.named("ones", lambda network, level, context: network).name
        'ones'
    """
    return Named(name, value)


def keep_class(kind: str, name: str, content: str, plugin_class: type[Plugin]) -> None:
    """Keep the class of an object, which suites then call ``python/NAME: {content: CONTENT}``."""
    known = _classes.setdefault((kind, name), {})
    known.pop(content, None)  # the last one is the newest
    known[content] = plugin_class


def find_class(kind: str, name: str, content: object = None) -> type[Plugin]:
    """Find the class of an object.

    Args:
        kind: One of ``KINDS``.
        name: ``python/NAME``.
        content: Which of those of this name; the newest by default.

    Raises:
        RequestError: There is none such in this process.
    """
    known = _classes.get((kind, name), {})
    if content is None and known:
        return list(known.values())[-1]
    if content in known:
        return known[str(content)]
    found = "has changed since, or is not" if known else "is not"
    raise RequestError(
        f"{kind[:-1]} {name!r} is an object of a Python program that {found} here: only the "
        "program that gave it to prunebench.run can build it again"
    )
