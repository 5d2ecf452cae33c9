"""A check: a name, a function of what is checked, and a result."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prunebench.errors import RequestError


@dataclass(frozen=True)
class CheckResult:
    """How one check ended.

    Attributes:
        name: The check's name.
        status: ``passed``, ``failed`` or ``skipped``.
        reason: Why it failed or was skipped; of a passed one, what is worth knowing, or nothing.
    """

    name: str
    status: Literal["passed", "failed", "skipped"]
    reason: str = ""


class Failure(Exception):
    """What was checked does not hold."""


class Skip(Exception):
    """The check means nothing here."""


@dataclass(frozen=True)
class Check:
    """One thing that every plugin of a kind is held to.

    Attributes:
        name: What must hold, in a few words.
        function: Given what is checked, raises ``Failure`` or ``Skip``; or returns what is worth
            knowing although it holds, or None.
        first: If it fails, no other check is tried: they could only fail for the same reason.
    """

    name: str
    function: Callable[[Any], str | None]
    first: bool = False


def require(holds: bool, message: str) -> None:
    """Fail the check where something does not hold."""
    if not holds:
        raise Failure(message)


def carry_out(checks: Iterable[Check], subject: Any) -> list[CheckResult]:
    """Carry out checks, one after the other; whatever a plugin raises is a failed check."""
    outcomes: list[CheckResult] = []
    blocked = ""
    for check in checks:
        if blocked:
            outcomes.append(CheckResult(check.name, "skipped", f"because {blocked!r} failed"))
            continue
        outcomes.append(_carry_out_one(check, subject))
        if check.first and outcomes[-1].status == "failed":
            blocked = check.name
    return outcomes


def _carry_out_one(check: Check, subject: Any) -> CheckResult:
    try:
        note = check.function(subject)
    except Skip as reason:
        return CheckResult(check.name, "skipped", str(reason))
    except Failure as reason:
        return CheckResult(check.name, "failed", str(reason))
    except RequestError as error:
        return CheckResult(check.name, "failed", f"it refused: {error}")
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        return CheckResult(check.name, "failed", text)
    return CheckResult(check.name, "passed", note or "")


def conforms(outcomes: Iterable[CheckResult]) -> bool:
    """Return whether no check failed and at least one passed: all skipped is not enough."""
    statuses = {outcome.status for outcome in outcomes}
    return "passed" in statuses and "failed" not in statuses


def report(outcomes: Iterable[CheckResult]) -> str:
    """Return the results as lines of text."""
    return "\n".join(f"{o.status:8}{o.name}{o.reason and ': '}{o.reason}" for o in outcomes)
