"""Half a page of what a headline suite says, each sentence with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from prunebench.intervals import LEAST_SEEDS, Interval, seed_interval
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.accuracy_bar import is_accurate
from prunebench.leaderboard.board.board import AXES
from prunebench.leaderboard.board.damage import ClassChange, find_exemplars, find_worst_class
from prunebench.leaderboard.board.horizon import Horizon
from prunebench.leaderboard.board.rank import AxisRanking, PrunerRank
from prunebench.leaderboard.board.rows import Row, format_level
from prunebench.leaderboard.board.seeds import LEAST_TO_JUDGE, find_seed_objection
from prunebench.leaderboard.writers.cells import format_place, plain
from prunebench.record import Record

WHAT = {"dense": "MACs", "masked": "weights"}
HOW = {"dense": "Channels removed", "masked": "Weights set to zero"}
LARGE = 0.05
"""A difference in Sp2PS that is worth a sentence's stronger word."""


def summarise(section: Section) -> list[str]:
    """Return what a section says, in plain sentences; a claim that seeds do not carry is not made.

    Args:
        section: A section of the board.
    """
    return [
        *(_tell_best(ranking) for ranking in section.rankings.values()),
        *_tell_farthest(section),
        *_tell_beyond_accuracy(section),
        *_tell_scale(section),
        *_tell_damaged(section),
    ]


def _tell_best(ranking: AxisRanking) -> str:
    """Say who preserves best at equal accuracy and compression."""
    how, places = HOW[ranking.axis], [place for place in ranking.places if place.ranked]
    if not places:
        reasons = [place.reason for place in ranking.places if place.reason]
        why = max(reasons, key=reasons.count) if reasons else "there is no pruner"
        return f"{how}: nobody is ranked ({plain(why)})."
    best = [place for place in places if place.first == 1]
    worst = max(places, key=lambda place: (place.last or 0, -(place.score or 0.0)))
    leaders = ", ".join(map(_name_score, best))
    keep = "keeps" if len(best) == 1 else "keep"
    tie = "" if len(best) == 1 else " and are not told apart"
    last = "" if worst in best else f"; last is {_name_score(worst)}"
    return f"{how}: {leaders} {keep} most of what the network looked at{tie}{last}."


def _name_score(place: PrunerRank) -> str:
    between = f" [{place.low:.3f}, {place.high:.3f}]" if place.low is not None else ""
    return f"{plain(place.pruner)} (place {format_place(place)}, {place.score:.3f}{between})"


def _tell_farthest(section: Section) -> Iterator[str]:
    """Say how far one can go before attention moves 0.05 more than by fine-tuning alone."""
    for axis in section.rankings:
        relative = [
            found
            for found in section.horizons
            if found.axis == axis and found.versus != "published" and found.outcome.state
        ]
        pruners: dict[str, list[Horizon]] = {}
        for found in relative:
            pruners.setdefault(found.pruner, []).append(found)
        if not pruners:
            continue
        # A pruner goes as far as under the method that gives way first.
        nearest = {name: min(found, key=_reach) for name, found in pruners.items()}
        best = max(nearest, key=lambda name: (_reach(nearest[name]), name))
        what, outcome = WHAT[axis], nearest[best].outcome
        if outcome.state == "not measurable":
            yield f"How far one can go in {what} is not measurable here: `none` gives way itself."
        elif outcome.at is None:
            yield (
                f"No pruner reaches its first level of {what} with its accuracy and within 0.05 "
                f"of fine-tuning alone under every explanation method."
            )
        else:
            end = "its last level" if outcome.next is None else f"{outcome.next:.0%} fails"
            yield (
                f"One can go farthest with {plain(best)}: {outcome.at:.0%} of {what} ({end}) with "
                "its accuracy and within 0.05 of fine-tuning alone under every method."
            )


def _reach(horizon: Horizon) -> float:
    if horizon.outcome.state == "not measurable":
        return -2.0
    return -1.0 if horizon.outcome.at is None else horizon.outcome.at


def _tell_beyond_accuracy(section: Section) -> Iterator[str]:
    """Say whether accuracy alone would have told: how far accurate networks differ in Sp2PS."""
    of = section.references
    accurate = []
    for row in section.rows:
        if row.first.role != "compressed" or find_seed_objection((row,), LEAST_TO_JUDGE):
            continue
        if is_accurate(row, dict(of.bars)):
            values = [of.average(record) for record in row.records]
            known = [value for value in values if value is not None]
            if known and len(known) == len(values):
                accurate.append((row, known))
    pairs = [(row, values) for row, values in accurate if row.first.axis in AXES]
    if len(pairs) < 2:
        return
    most = max(pairs, key=lambda pair: math.fsum(pair[1]) / len(pair[1]))
    least = min(pairs, key=lambda pair: math.fsum(pair[1]) / len(pair[1]))
    seeds = min(len(most[1]), len(least[1]))
    found = seed_interval([a - b for a, b in zip(most[1][:seeds], least[1][:seeds], strict=True)])
    told = found.low is not None and found.low > 0
    word = "No: " if told and (found.mean or 0) >= LARGE else ""
    yield (
        f"Would accuracy alone have told? {word}{len(pairs)} networks are within 1 "
        f"point of the bar, and between {_name(most[0])} and {_name(least[0])} Sp2PS differs by "
        f"{_between(found)}{'' if told else ', which seeds do not tell from nothing'}."
    )


def _tell_scale(section: Section) -> Iterator[str]:
    """Say what ``none``, twin, small networks and random weights make of the scale."""
    parts = []
    named = (
        ("control", "fine-tuning alone"),
        ("twin", "another training of the same network"),
        ("floor", "random weights"),
    )
    for role, name in named:
        row = next((row for row in section.rows if row.first.role == role), None)
        value = _average(section, row)
        if value is not None:
            parts.append(f"{_between(value)} for {name}")
    if len(parts) > 1:
        yield f"The scale, in Sp2PS: {', '.join(parts)}."
    for row in section.rows:
        if row.first.role == "small":
            yield from _tell_small(section, row)


def _tell_small(section: Section, small: Row) -> Iterator[str]:
    """Say whether pruning is better than a small network trained from scratch."""
    rival = next(
        (
            row
            for row in section.rows
            if row.first.role == "compressed"
            and row.first.pruner_name == "l1-filter"
            and row.first.level == small.first.level
        ),
        None,
    )
    if rival is None:
        return
    by_seed = {record.seed: record for record in small.records}
    pairs = [(record, by_seed[record.seed]) for record in rival.records if record.seed in by_seed]
    average = section.references.average
    for what, tell in (("accuracy", _tell_accuracy), ("Sp2PS", average)):
        found = _compare([(tell(one), tell(other)) for one, other in pairs])
        if found is not None:
            yield (
                f"Against a network of the same shape trained from scratch, {_name(rival)} has "
                f"{_judge_sign(found)} {what} ({_between(found, signed=True)})."
            )


def _tell_accuracy(record: Record) -> float | None:
    return record.mean("accuracy")


def _compare(pairs: Sequence[tuple[float | None, float | None]]) -> Interval | None:
    """Return the mean difference over seeds; None with fewer than three, or where one lacks."""
    known = [one - other for one, other in pairs if one is not None and other is not None]
    return seed_interval(known) if len(known) == len(pairs) >= LEAST_SEEDS else None


def _tell_damaged(section: Section) -> Iterator[str]:
    """Say which class loses most in networks that are still accurate, and how many images."""
    bars = dict(section.references.bars)
    lost: list[tuple[float, int, Row, ClassChange]] = []
    for index, row in enumerate(section.rows):
        if row.first.role == "compressed" and is_accurate(row, bars):
            found = find_worst_class(row, section.baseline)
            if found and found.high is not None and found.high < 0:
                lost.append((found.change, index, row, found))
    if not lost:
        return
    _, _, row, change = min(lost, key=lambda each: each[:2])
    names = row.first.classes
    name = names[change.index] if change.index < len(names) else f"class {change.index}"
    low, high = 100 * (change.low or 0.0), 100 * (change.high or 0.0)
    points = f"{100 * change.change:.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")
    yield (
        f"Damaged first, in networks that kept their accuracy: “{plain(name)}”, whose recall "
        f"changes by {points} points in {_name(row)}."
    )
    exemplars = find_exemplars(row, section.baseline)
    if exemplars is not None and exemplars.places:
        yield (
            f"There, all seeds agree on another class than the baselines in "
            f"{len(exemplars.places)} of {exemplars.explained} images."
        )


def _average(section: Section, row: Row | None) -> Interval | None:
    """Return a control's mean Sp2PS over the methods; None with fewer than three seeds."""
    if row is None or len(row.records) < LEAST_SEEDS:
        return None
    values = [section.references.average(record) for record in row.records]
    known = [value for value in values if value is not None]
    return seed_interval(known, (0.0, 1.0)) if len(known) == len(values) else None


def _name(row: Row) -> str:
    level = format_level(row)
    return plain(row.first.pruner) + ("" if level == "–" else f" {level}")


def _between(found: Interval, *, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    told = f"{found.mean or 0:{form}} [{found.low or 0:{form}}, {found.high or 0:{form}}]"
    return told.replace("-", "−")


def _judge_sign(found: Interval) -> str:
    if found.low is not None and found.low > 0:
        return "more"
    return "less" if found.high is not None and found.high < 0 else "neither more nor less"
