"""Ratios of two things timed in one run, and the table of them at the end.

Nothing here can fail for being slow: figures are noted (also for ``--benchmark-json``), not judged.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from timeit import timeit
from typing import Any

import pytest

FIGURES = pytest.StashKey[list[tuple[str, str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []
    config.option.benchmark_columns = ["median", "rounds"]


@pytest.fixture
def note(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Notes one figure: ``note("three CAMs / forward pass", 1.2, "×", target="under 1.3")``."""

    def note(what: str, value: float, unit: str, target: str = "") -> None:
        benchmark.extra_info[what] = {"value": value, "unit": unit, "target": target}
        request.config.stash[FIGURES].append((what, f"{value:,.3g} {unit}", target))

    return note


@pytest.fixture
def in_turns(benchmark: Any) -> Callable[..., float]:
    """Times a function and a reference in turns: what slows the machine then slows both.

    Returns the median of function / reference.
    """

    def in_turns(
        function: Callable[[], Any], reference: Callable[[], Any], rounds: int = 7
    ) -> float:
        references: list[float] = []
        benchmark.pedantic(
            function,
            setup=lambda: references.append(timeit(reference, number=1)),
            rounds=rounds,
            warmup_rounds=1,
        )
        pairs = zip(benchmark.stats.stats.data, references[1:], strict=True)
        return median(ours / theirs for ours, theirs in pairs)

    return in_turns


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    figures = config.stash[FIGURES]
    if not figures:
        return
    terminalreporter.section("figures")
    wide, narrow = (max(len(row[column]) for row in figures) for column in (0, 1))
    for what, value, target in figures:
        terminalreporter.write_line(f"{what:<{wide}}  {value:>{narrow}}  {target}".rstrip())
