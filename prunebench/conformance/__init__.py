"""The conformance kit: what every plugin of a kind is held to, whoever wrote it."""

from __future__ import annotations

import importlib
from typing import Any

from prunebench.conformance.checks import Outcome, carry_out, conforms, report
from prunebench.errors import RequestError
from prunebench.plugins import choose, find
from prunebench.plugins.catalogue import plural

__all__ = ["Outcome", "check", "conforms", "report"]


def check(kind: str, name: str, parameters: dict[str, Any] | None = None) -> list[Outcome]:
    """Carries out all checks of a plugin's kind; a minute at most for most plugins.

    Args:
        kind: ``pruner``, ``model``, ``cam``, ``metric`` or ``dataset``, singular or plural.
        name: The registered name, or ``family/member``.
        parameters: The plugin's parameters, where it needs some.

    Returns:
        The outcomes; see ``conforms``. A plugin that cannot be imported has one failed outcome.

    Raises:
        RequestError: No such kind or plugin, a wrong parameter, or files are missing.
    """
    kind = plural(kind)
    entry = find(kind, name)
    try:
        _ = entry.plugin_class
    except RequestError as error:
        return [Outcome("can be imported", "failed", error.message)]
    chosen = choose(kind, name, parameters)
    checks = importlib.import_module(f"{__name__}.{kind}")
    return carry_out(checks.CHECKS, checks.Subject(chosen, parameters or {}))
