"""What may be claimed of a published number: a verdict that follows from the comparison alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.leaderboard.board.rows import Row
from prunebench.leaderboard.papers.cards.printed import count_decimals, parse_number
from prunebench.leaderboard.papers.cards.reading import Reading
from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.leaderboard.papers.compare import ComparedExperiment, Counterpart
from prunebench.leaderboard.papers.differences import count_seeds
from prunebench.leaderboard.papers.numbers import Number, find_scale
from prunebench.leaderboard.papers.readings import read_value

Verdict = Literal["reproduced", "differs", "similar protocol only", "not run"]
COUNTED = dict(
    zip(
        get_args(Verdict),
        ("reproduced", "differ", "similar protocol only", "not run"),
        strict=True,
    )
)
"""How many of each verdict there are is said in these words, in this order."""


@dataclass(frozen=True)
class Claim:
    """A verdict on one published number, and all reasons for it."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judge_experiment(compared: ComparedExperiment) -> tuple[Claim, ...]:
    """Judge every published number of an experiment."""
    claims = (
        judge_number(compared.experiment, beside, number)
        for beside in compared.rows
        for number in beside.numbers
    )
    return tuple(claim for claim in claims if claim is not None)


def judge_number(
    experiment: PublishedExperiment, beside: Counterpart, number: Number
) -> Claim | None:
    """Judge one published number.

    Only a number of the same protocol with three seeds or more is *reproduced* or *differs*: by
    whether what is printed can be rounded from a number within Student's 95% interval of our seeds.

    Args:
        experiment: The experiment.
        beside: The published row, and ours.
        number: One of its columns.

    Returns:
        The verdict; None where the source prints words and no number.
    """
    printed = beside.published.values[number.key]
    if not isinstance(printed, str):
        return None
    if beside.row is None:
        return Claim("not run", beside.why)
    if number.ours is None:
        return Claim("not run", (number.note or "not measured",))
    if obstacles := tuple(dict.fromkeys(_list_obstacles(experiment, beside, number))):
        return Claim("similar protocol only", obstacles)
    quantity = experiment.quantities[number.key]
    assert quantity.reading is not None
    seeds = _read_by_seed(quantity.reading, beside.row, beside.baseline)
    if len(seeds) < len(beside.row.records):
        return Claim("similar protocol only", ("it has no value under each seed",))
    by, digits = find_scale(quantity), count_decimals(printed)
    found = seed_interval([by * value for value in seeds])
    assert found.low is not None
    assert found.high is not None
    rounding = 0.5 * 10**-digits + 1e-9
    inside = found.low - rounding <= parse_number(printed) <= found.high + rounding
    ends = f"[{found.low:.{digits + 1}f}, {found.high:.{digits + 1}f}]".replace("-", "−")
    where = f"{'inside' if inside else 'outside'} {ends} over {count_seeds(beside.row)}"
    return Claim("reproduced" if inside else "differs", (where,))


def count_claims(claims: Iterable[Claim]) -> str:
    """Say how many numbers have each verdict: ``0 reproduced, 0 differ, 14 similar ...``."""
    counts = Counter(claim.verdict for claim in claims)
    return ", ".join(f"{counts[verdict]} {words}" for verdict, words in COUNTED.items())


def list_row_obstacles(experiment: PublishedExperiment, beside: Counterpart) -> tuple[str, ...]:
    """List what keeps all numbers of our row from being held against the published ones."""
    return tuple(_yield_row_obstacles(experiment, beside))


def _yield_row_obstacles(experiment: PublishedExperiment, beside: Counterpart) -> Iterator[str]:
    row = beside.row
    if row is None:
        return
    yield from beside.differs
    if not beside.exact and not beside.differs:
        yield "a similar experiment, not the same"
    yield from _compare_suites(experiment, row)
    if row.missing:
        yield f"{row.seeds} seeds"
    elif len(row.records) < LEAST_SEEDS:
        yield f"{count_seeds(row)}, of which {LEAST_SEEDS} are needed"


def _list_obstacles(
    experiment: PublishedExperiment, beside: Counterpart, number: Number
) -> Iterator[str]:
    """Yield what keeps our number from being held against the published one."""
    yield from list_row_obstacles(experiment, beside)
    quantity = experiment.quantities[number.key]
    if quantity.note:
        yield quantity.note
    if number.key == beside.chosen_by(experiment):
        yield "our row was chosen by this number"
    if quantity.reading and quantity.reading.levels:
        yield "a number over levels has no interval over seeds"


def _compare_suites(experiment: PublishedExperiment, row: Row) -> Iterator[str]:
    """Say that a row is not of the suite that repeats the experiment as it was published."""
    own = experiment.suite_name
    others = sorted({record.suite for record in row.records} - {own})
    if own is None:
        yield "no suite repeats the experiment so far"
    elif others:
        yield f"of the suite {', '.join(others)}; {own} repeats the experiment"


def _read_by_seed(reading: Reading, row: Row, baseline: Row | None) -> list[float]:
    """Return our number under each seed that has one."""
    starts = _split_seeds(baseline) if baseline else {}
    found = [
        read_value(reading, one, starts.get(seed)).value for seed, one in _split_seeds(row).items()
    ]
    return [value for value in found if value is not None]


def _split_seeds(row: Row) -> dict[int, Row]:
    return {record.seed: Row((record,), (record.seed,)) for record in row.records}
