"""The kit finds every fault, and only faults."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from faulty_plugins import FAULTS, SOUND

from prunebench.conformance import check, conforms, report
from prunebench.conformance.checks import Check, CheckResult, Skip, carry_out
from prunebench.errors import RequestError
from prunebench.plugins import choose

CASES = [
    pytest.param(kind, name, finds, id=f"{kind}/{name}")
    for kind, names in FAULTS.items()
    for name, finds in names.items()
]


def parameters(kind: str, folder: Path) -> dict[str, Any]:
    if kind != "datasets":
        return {}
    (folder / "images.txt").write_text("noise")
    return {"path": folder / "images.txt"}


@pytest.mark.parametrize(("kind", "name", "finds"), CASES)
@pytest.mark.usefixtures("faulty")
def test_a_fault_is_found(kind: str, name: str, finds: str, tmp_path: Path) -> None:
    given = parameters(kind, tmp_path)
    module = importlib.import_module(f"prunebench.conformance.{kind}")
    checks = [each for each in module.CHECKS if each.name == finds]
    outcomes = carry_out(checks, module.SUBJECT(choose(kind, name, given), given))
    assert [outcome.status for outcome in outcomes] == ["failed"], report(outcomes)
    assert not conforms(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.usefixtures("faulty")
def test_what_is_sound_has_no_fault(kind: str, tmp_path: Path) -> None:
    outcomes = check(kind, SOUND[kind], parameters(kind, tmp_path))
    assert conforms(outcomes), report(outcomes)
    card = next(outcome for outcome in outcomes if outcome.name == "has a card")
    assert card.status == "skipped"  # the package has none


def skipped(subject: Any) -> None:
    raise Skip("nothing to see")


def test_all_skipped_is_not_enough() -> None:
    outcomes = carry_out([Check("a", skipped), Check("b", skipped)], None)
    assert [outcome.status for outcome in outcomes] == ["skipped", "skipped"]
    assert not conforms(outcomes)
    assert not conforms([])
    assert conforms([*outcomes, CheckResult("c", "passed")])


def test_an_exception_is_a_failure_that_says_where() -> None:
    def crashes(subject: Any) -> None:
        raise ZeroDivisionError("by zero")

    (outcome,) = carry_out([Check("a", crashes)], None)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("ZeroDivisionError: by zero (test_faults.py:")


def test_after_the_first_nothing_is_tried() -> None:
    def fails(subject: Any) -> None:
        raise RequestError("no")

    outcomes = carry_out([Check("a", fails, first=True), Check("b", skipped)], None)
    assert outcomes[0] == CheckResult("a", "failed", "it refused: no")
    assert outcomes[1] == CheckResult("b", "skipped", "because 'a' failed")


def test_a_wrong_request_is_refused() -> None:
    for wrong in (
        ("pruner", "l1-filtr", {}),
        ("prunner", "l1-filter", {}),
        ("pruner", "l1-filter", {"scop": "global"}),
        ("pruner", "checkpoint", {}),
        ("dataset", "folder", {"path": "nowhere"}),
    ):
        with pytest.raises(RequestError):
            check(*wrong)
