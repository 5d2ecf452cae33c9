"""Rule 15: who is damaged: the class and the images that compression takes away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunebench.errors import RequestError
from prunebench.intervals import LEAST_SEEDS, seed_interval
from prunebench.leaderboard.board.rows import Row
from prunebench.record import Changed, Record

MOST_PICTURES = 5


@dataclass(frozen=True)
class ClassChange:
    """How the recall of one class changed.

    Attributes:
        index: Which class.
        change: Mean over seeds against ``none``, a fraction; below 0 it was lost.
        low: Lower bound of the 95% t-interval over seeds, wide enough for all classes that it was
            picked from; None with fewer than three.
        high: Upper bound.
    """

    index: int
    change: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Exemplars:
    """Images that the compressed networks agree to see in another way than the baselines.

    Pruning-identified exemplars (Hooker, Courville, Clark, Dauphin and Frome 2019,
    arXiv 1911.05248): here those on which all seeds' compressed networks predict one class, and the
    baselines by majority another.

    Attributes:
        places: Their places among the explained images.
        explained: How many images were looked at.
        sp2ps: By explanation method the mean Sp2PS on them and on all others, over the seeds.
        pictures: Some of them, as far as records show them.
    """

    places: tuple[int, ...]
    explained: int
    sp2ps: dict[str, tuple[float, float]]
    pictures: tuple[Changed, ...] = ()


def find_worst_class(row: Row, control: Row | None, rows: int = 1) -> ClassChange | None:
    """Return the class whose recall fell most, by the mean over seeds; None where unknown.

    It is picked by its value, so that the interval is wide enough for all classes at once.

    Args:
        row: A row.
        control: ``none``, which had the same fine-tuning.
        rows: How many rows the caller picks one of, by its worst class.
    """
    pairs = _pair(row, control)
    if not pairs or any(not one.recalls or not other.recalls for one, other in pairs):
        return None
    if len({len(record.recalls) for pair in pairs for record in pair}) > 1:
        return None
    changes = np.array(
        [_to_numbers(one) - _to_numbers(other) for one, other in pairs], dtype=np.float64
    )
    known = ~np.isnan(changes).any(0)
    if not known.any():
        return None
    means = np.where(known, changes.mean(0), np.inf)
    worst = int(np.argmin(means))
    if len(pairs) < LEAST_SEEDS:
        return ClassChange(worst, float(means[worst]))
    found = seed_interval(changes[:, worst], (-1.0, 1.0), int(known.sum()) * rows)
    return ClassChange(worst, float(means[worst]), found.low, found.high)


def find_exemplars(row: Row, baseline: Row | None) -> Exemplars | None:
    """Find the images that compression, not chance, makes a network see in another way.

    Args:
        row: A row of at least three seeds.
        baseline: That of its section.

    Returns:
        None with fewer seeds, or where records do not tell what their networks predict.
    """
    pairs = _pair(row, baseline)
    if len(pairs) < LEAST_SEEDS:
        return None
    ours = _stack([_read_predicted(record) for record, _ in pairs])
    theirs = _stack([_read_predicted(record) for _, record in pairs])
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return None
    voted = _vote(theirs)
    found = (ours == ours[0]).all(0) & (ours[0] != voted) & (voted >= 0)
    places = tuple(int(place) for place in np.flatnonzero(found))
    return Exemplars(places, len(found), _split_sp2ps(row.records, found), _list_pictures(row))


def _pair(row: Row, baseline: Row | None) -> list[tuple[Record, Record]]:
    """Return the records of a row with their seed's baseline; none where one is missing."""
    by_seed = {record.seed: record for record in baseline.records} if baseline else {}
    pairs = [(record, by_seed[record.seed]) for record in row.records if record.seed in by_seed]
    return pairs if len(pairs) == len(row.records) else []


def _to_numbers(record: Record) -> NDArray[np.float64]:
    return np.array([np.nan if one is None else one for one in record.recalls], dtype=np.float64)


def _read_predicted(record: Record) -> NDArray[np.float64] | None:
    """Return the class predicted of each image; None where it is not known."""
    try:
        found = record.per_image.read_predicted() if record.per_image else None
    except RequestError:
        return None
    return None if found is None else found.astype(np.float64)


def _read_sp2ps(record: Record, cam: str) -> NDArray[np.float64] | None:
    try:
        return record.per_image.read_sp2ps(cam) if record.per_image else None
    except RequestError:
        return None


def _stack(rows: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Return one row a seed; None where one is not known, or of other images."""
    known = [row for row in rows if row is not None]
    same = len(known) == len(rows) and len({len(row) for row in known}) == 1
    return np.array(known) if same else None


def _vote(predicted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class that more than half predict; −1 where there is none."""
    counts = [np.bincount(column) for column in predicted.astype(int).T]
    return np.array([c.argmax() if 2 * c.max() > len(predicted) else -1 for c in counts])


def _split_sp2ps(
    records: Sequence[Record], found: NDArray[np.bool_]
) -> dict[str, tuple[float, float]]:
    """Return the mean Sp2PS on some images and on all others, by method."""
    if not found.any() or found.all():
        return {}
    first = records[0].per_image
    split = {}
    for cam in sorted(first.sp2ps) if first else ():
        stacked = _stack([_read_sp2ps(record, cam) for record in records])
        if stacked is None or stacked.shape[1] != len(found):
            continue
        on, off = stacked[:, found], stacked[:, ~found]
        if np.isfinite(on).any() and np.isfinite(off).any():
            split[cam] = (float(np.nanmean(on)), float(np.nanmean(off)))
    return split


def _list_pictures(row: Row) -> tuple[Changed, ...]:
    """Return pictures of images on which every seed that shows one predicts the same new class."""
    shown: dict[int, list[Changed]] = {}
    for record in row.records:
        for one in record.changed:
            shown.setdefault(one.image, []).append(one)
    often = sorted(shown.values(), key=lambda some: (-len(some), some[0].image))
    same = [some[0] for some in often if len({one.own_class for one in some}) == 1]
    return tuple(one for one in same if one.png)[:MOST_PICTURES]
