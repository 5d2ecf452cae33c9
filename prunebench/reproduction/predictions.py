"""Predictions of a published row beside those of the same row made again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prunebench.errors import RequestError
from prunebench.record import Record
from prunebench.reproduction.reproduced_number import ReproducedNumber
from prunebench.reproduction.tolerance import SUMMED

PREDICTED = "predicted alike"
RECALL = "largest change of a recall"


def compare_predictions(
    published: Record, rebuilt: Record, elsewhere: bool
) -> Iterator[ReproducedNumber]:
    """Yield the share of explained images predicted alike, and the largest change of a recall.

    Elsewhere training makes another network. Two networks predict alike wherever both are right,
    so that at least 1 - 2·(1 - accuracy) of the images are; of recalls no number says how far they
    may be off, and they are shown only.

    Args:
        published: The record.
        rebuilt: The same made again.
        elsewhere: Whether it was made on another machine, or with other packages.
    """
    if published.per_image is not None and published.per_image.predicted is not None:
        alike = _share_alike(published, rebuilt)
        accuracy = min(record.mean("accuracy") or 0.0 for record in (published, rebuilt))
        tolerance = 2 * (1 - accuracy) if elsewhere else 0.0
        met = alike is not None and 1 - alike <= tolerance
        note = "" if alike is not None else "the two do not tell of the same images"
        yield ReproducedNumber(PREDICTED, 1.0, alike, tolerance, met, note)
    if published.recalls:
        change = _find_largest_change(published, rebuilt)
        judged = None if elsewhere else change is not None and change <= SUMMED
        yield ReproducedNumber(RECALL, 0.0, change, None if elsewhere else SUMMED, judged)


def _share_alike(published: Record, rebuilt: Record) -> float | None:
    try:
        theirs, ours = (
            record.per_image.read_predicted() if record.per_image else None
            for record in (published, rebuilt)
        )
    except RequestError:
        return None
    if theirs is None or ours is None or len(theirs) != len(ours):
        return None
    return float((theirs == ours).mean())


def _find_largest_change(published: Record, rebuilt: Record) -> float | None:
    theirs, ours = (
        np.array([np.nan if one is None else one for one in record.recalls], dtype=np.float64)
        for record in (published, rebuilt)
    )
    if theirs.shape != ours.shape or (np.isnan(theirs) != np.isnan(ours)).any():
        return None
    changes = np.abs(theirs - ours)
    return float(np.nanmax(changes)) if np.isfinite(changes).any() else 0.0
