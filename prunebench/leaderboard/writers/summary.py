"""Half a page of what a headline suite says, each sentence with what its seeds carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from prunebench.intervals import LEAST_SEEDS, Interval, seed_interval
from prunebench.leaderboard.board import Section
from prunebench.leaderboard.board.accuracy_bar import is_accurate
from prunebench.leaderboard.board.comparisons import Blocks
from prunebench.leaderboard.board.damage import ClassChange, find_exemplars, find_worst_class
from prunebench.leaderboard.board.grid import GRID, NEAR, Axis
from prunebench.leaderboard.board.horizon import Horizon
from prunebench.leaderboard.board.rank import AxisRanking, PrunerRank
from prunebench.leaderboard.board.rows import Row, find_role, format_level
from prunebench.leaderboard.board.seeds import LEAST_TO_JUDGE, find_seed_objection
from prunebench.leaderboard.board.undefined import find_undefined
from prunebench.leaderboard.writers.cells import format_place, plain
from prunebench.record import Record

WHAT = {"dense": "MACs", "masked": "weights"}
HOW = {"dense": "Channels removed", "masked": "Weights set to zero"}
LARGE = 0.05
"""A difference in Sp2PS from which accuracy alone would not have told."""


def summarise(section: Section) -> list[str]:
    """Return what a section says, in plain sentences; a claim that seeds do not carry is not made.

    It speaks of the protocol's own pruners alone, of rows with three seeds or more whose maps are
    defined. What is picked as the largest or the smallest is judged as one of many.

    Args:
        section: A section of the board.
    """
    rows = [row for row in section.rows if row.first.pruner in section.listed]
    rows = [row for row in rows if _carries(section, row)]
    return [
        *_tell_absent(section),
        *(_tell_best(ranking) for ranking in section.rankings.values()),
        *(line for axis in section.rankings for line in _tell_farthest(section, axis)),
        *_tell_beyond_accuracy(section, rows),
        *_tell_scale(section),
        *_tell_small(section, rows),
        *_tell_damaged(section, rows),
    ]


def _carries(section: Section, row: Row | None) -> bool:
    """Return whether a row has the seeds and the maps that a sentence needs."""
    if row is None or find_seed_objection((row,), LEAST_TO_JUDGE):
        return False
    return find_undefined((row,), section.references.names) is None


def _tell_absent(section: Section) -> Iterator[str]:
    """Say which of the protocol's pruners are missing, so that nobody seems to beat them."""
    if section.absent:
        named = ", ".join(plain(pruner).partition("(")[0] for pruner in section.absent)
        yield f"Of the protocol's pruners these were not run: {named}."


def _tell_best(ranking: AxisRanking) -> str:
    """Say who preserves best at equal accuracy and compression."""
    how = HOW[ranking.axis]
    listed = [place for place in ranking.places if place.listed]
    places = [place for place in listed if place.ranked]
    if not places:
        reasons = [place.reason for place in listed if place.reason]
        why = max(reasons, key=reasons.count) if reasons else "there is no pruner"
        return f"{how}: nobody is ranked ({plain(why)})."
    best = [place for place in places if place.first == 1]
    worst = max(places, key=lambda place: (place.last or 0, -(place.score or 0.0)))
    leaders = ", ".join(map(_name_score, best))
    keep = "keeps" if len(best) == 1 else "keep"
    tie = "" if len(best) == 1 else " and may each be the first"
    last = "" if worst in best else f"; last is {_name_score(worst)}"
    return f"{how}: {leaders} {keep} most of what the network looked at{tie}{last}."


def _name_score(place: PrunerRank) -> str:
    between = f" [{place.low:.3f}, {place.high:.3f}]" if place.low is not None else ""
    return f"{plain(place.pruner)} (place {format_place(place)}, {place.score:.3f}{between})"


def _tell_farthest(section: Section, axis: Axis) -> Iterator[str]:
    """Say how far one can go before attention moves 0.05 more than by fine-tuning alone."""
    pruners: dict[str, list[Horizon]] = {}
    for found in section.horizons:
        if (
            found.axis == axis
            and found.versus != "published"
            and found.pruner in section.listed
            and found.cam in section.references.cams
        ):
            pruners.setdefault(found.pruner, []).append(found)
    known = {
        name: min(_reach(horizon) for horizon in horizons)
        for name, horizons in pruners.items()
        if all(horizon.outcome.state for horizon in horizons)
    }
    if not known:
        return
    farthest, what = max(known.values()), WHAT[axis]
    if farthest == -2:
        yield f"How far one can go in {what} is not measurable here: `none` gives way itself."
    elif farthest == -1:
        yield (
            f"No pruner keeps its accuracy, and stays within 0.05 of fine-tuning alone under every "
            f"explanation method, up to its first level of {what}."
        )
    else:
        names = ", ".join(plain(name) for name in sorted(known) if known[name] == farthest)
        yield (
            f"Farthest one can go with {names}: {farthest:.0%} of {what} with its accuracy and "
            "within 0.05 of fine-tuning alone under every explanation method."
        )


def _reach(horizon: Horizon) -> float:
    """Return the place of the grid up to which all holds; −1 for none, −2 where `none` fails."""
    if horizon.outcome.state == "not measurable":
        return -2.0
    at = horizon.outcome.at
    return -1.0 if at is None else min(GRID[horizon.axis], key=lambda place: abs(place - at))


def _tell_beyond_accuracy(section: Section, rows: Sequence[Row]) -> Iterator[str]:
    """Say whether accuracy alone would have told: how far accurate networks differ in Sp2PS.

    The two farthest apart are picked out of many, so that Tukey's HSD over all of them judges.
    """
    bars = dict(section.references.bars)
    accurate = [row for row in rows if is_accurate(row, bars)]
    seeds = min((len(row.records) for row in accurate), default=0)
    values = [
        [section.references.average(record) for record in row.records[:seeds]] for row in accurate
    ]
    if len(values) < 2 or any(value is None for line in values for value in line):
        return
    blocks = Blocks(np.array(values, dtype=np.float64))
    means = blocks.scores.mean(1)
    most, least = int(means.argmax()), int(means.argmin())
    found, margin = float(means[most] - means[least]), float(blocks.find_margins()[most, least])
    between = Interval(found, found - margin, found + margin, seeds, 0, "Tukey's HSD")
    told = found > margin
    word = "No: " if told and found >= LARGE else ""
    yield (
        f"Would accuracy alone have told? {word}{len(accurate)} networks are within 1 point of the "
        f"better of baseline and `none`; between {_name(accurate[most])} and "
        f"{_name(accurate[least])} Sp2PS differs by {_between(between)}"
        f"{'' if told else ', which may be chance'}."
    )


def _tell_scale(section: Section) -> Iterator[str]:
    """Say what ``none``, twin and random weights make of the scale."""
    parts = []
    named = (
        ("control", "`none` (fine-tuning alone)"),
        ("twin", "a twin (another training of the same network)"),
        ("floor", "random weights"),
    )
    for role, name in named:
        row = section.control if role == "control" else find_role(section.rows, role)
        if row is None or not _carries(section, row):
            continue
        values = [section.references.average(record) for record in row.records]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found = seed_interval(known, (0.0, 1.0))
            # Twins share their baselines pair by pair: no interval over them is honest.
            parts.append(f"{found.mean:.3f} for {name}" if role == "twin" else _for(found, name))
    if len(parts) > 1:
        yield f"The scale, in Sp2PS: {', '.join(parts)}."


def _for(found: Interval, name: str) -> str:
    return f"{_between(found)} for {name}"


def _tell_small(section: Section, rows: Sequence[Row]) -> Iterator[str]:
    """Say whether pruning is better than a small network of its shape, trained from scratch."""
    for small in section.rows:
        if small.first.role != "small" or not _carries(section, small):
            continue
        rivals = [
            row
            for row in rows
            if row.first.pruner_name == "l1-filter"
            and row.first.level == small.first.level
            and abs(row.reached.macs - small.reached.macs) <= NEAR
        ]
        if not rivals:
            continue
        rival = min(rivals, key=lambda row: abs(row.reached.macs - small.reached.macs))
        pairs = list(zip(rival.records, small.records, strict=False))
        for what, tell in (("accuracy", _tell_accuracy), ("Sp2PS", section.references.average)):
            found = _compare([(tell(one), tell(other)) for one, other in pairs])
            if found is not None:
                yield (
                    f"Against a small network of its shape, trained from scratch, {_name(rival)} "
                    f"has {_judge_sign(found)} {what} ({_between(found, signed=True)})."
                )


def _tell_accuracy(record: Record) -> float | None:
    return record.mean("accuracy")


def _compare(pairs: Sequence[tuple[float | None, float | None]]) -> Interval | None:
    """Return the mean difference over seeds; None with fewer than three, or where one lacks."""
    known = [one - other for one, other in pairs if one is not None and other is not None]
    return seed_interval(known) if len(known) == len(pairs) >= LEAST_SEEDS else None


def _tell_damaged(section: Section, rows: Sequence[Row]) -> Iterator[str]:
    """Say which class loses most in networks that are still accurate, and how many images."""
    bars, control = dict(section.references.bars), section.control
    accurate = [row for row in rows if is_accurate(row, bars)]
    lost: list[tuple[float, int, Row, ClassChange]] = []
    for index, row in enumerate(accurate):
        found = find_worst_class(row, control, len(accurate))
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
        f"changes by {points} points against `none` in {_name(row)}."
    )
    ours, usual = (find_exemplars(each, section.baseline) for each in (row, control) if each)
    if ours is not None and usual is not None:
        yield (
            f"There, all seeds agree on another class than the baselines in {len(ours.places)} of "
            f"{ours.explained} images; after fine-tuning alone in {len(usual.places)}."
        )


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
