"""A plugin as it is named on the command line: its kind found, its parameters read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from prunebench.errors import RequestError, did_you_mean
from prunebench.plugins import KINDS, entries
from prunebench.plugins.catalogue import to_plural


def find_kind(name: str, kind: str | None = None) -> str:
    """Find the kind of plugin that a name means, as the entry-point groups name it.

    Args:
        name: The registered name, or ``family/member``.
        kind: The kind, if it is known.

    Raises:
        RequestError: No plugin has this name, or plugins of several kinds have.
    """
    if kind is not None:
        return to_plural(kind)
    family = name.partition("/")[0]
    found = [each for each in KINDS if name in entries(each) or family in entries(each)]
    if not found:
        known = {known for each in KINDS for known in entries(each)}
        raise RequestError(f"unknown plugin {name!r}; {did_you_mean(name, known)}")
    if len(found) > 1:
        kinds = " and ".join(f"a {each[:-1]}" for each in found)
        raise RequestError(f"{name!r} is {kinds}; say which with --kind {found[0][:-1]}")
    return found[0]


def read_parameters(given: Iterable[str]) -> dict[str, Any]:
    """Read parameters written as ``name=value``, values as in YAML: ``rates={conv1: 0.5}``.

    Raises:
        RequestError: One is written otherwise, or given twice.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise RequestError(f"{text!r} is no parameter; expected NAME=VALUE")
        if name in found:
            raise RequestError(f"parameter {name!r} is given twice")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise RequestError(f"parameter {name!r}: cannot read {value!r} as YAML") from None
    return found
