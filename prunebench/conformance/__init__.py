"""The conformance kit: what every plugin of a kind is held to, whoever wrote it.

In: a plugin's name. Out: a result a check.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from prunebench.conformance.checks import CheckResult, carry_out, conforms, report
from prunebench.errors import RequestError
from prunebench.plugins import choose, find
from prunebench.plugins.catalogue import to_plural

__all__ = ["CheckResult", "check", "conforms", "report"]


def __getattr__(name: str) -> Any:
    if name == "Outcome":
        warnings.warn(
            "prunebench.conformance.Outcome is now CheckResult; the old name is gone in "
            "prunebench 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
        return CheckResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check(kind: str, name: str, parameters: dict[str, Any] | None = None) -> list[CheckResult]:
    """Carry out all checks of a plugin's kind; a minute at most for most plugins.

    Args:
        kind: ``pruner``, ``model``, ``cam``, ``metric`` or ``dataset``, singular or plural.
        name: The registered name, or ``family/member``.
        parameters: The plugin's parameters, where it needs some.

    Returns:
        One result a check; see ``conforms``. A plugin that cannot be imported fails a single one.

    Raises:
        RequestError: No such kind or plugin, a wrong parameter, or files are missing.
    """
    kind = to_plural(kind)
    entry = find(kind, name)
    try:
        _ = entry.plugin_class
    except RequestError as error:
        return [CheckResult("can be imported", "failed", error.message)]
    chosen = choose(kind, name, parameters)
    checks = importlib.import_module(f"{__name__}.{kind}")
    return carry_out(checks.CHECKS, checks.SUBJECT(chosen, parameters or {}))
