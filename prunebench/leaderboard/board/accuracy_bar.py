"""Rule 3: how far a network's accuracy counts, beside the better of its baseline and `none`."""

from __future__ import annotations

from prunebench.leaderboard.board.grid import CLOSE
from prunebench.leaderboard.board.rows import Row

FREE = 0.01
"""Accuracy that may be lost at no cost, a fraction: 1 point."""
LOST = 0.03
"""Loss from which on a network no longer counts as accurate at all: 3 points."""


def find_bars(*references: Row | None) -> dict[int, float]:
    """Return by seed the accuracy that is asked for: the better of the baseline and ``none``.

    Fine-tuning alone may lift an undertrained baseline; a pruner must not live on that.

    Args:
        references: The baseline and the control, where there are any.
    """
    bars: dict[int, float] = {}
    for row in references:
        for record in row.records if row else ():
            accuracy = record.mean("accuracy")
            if accuracy is not None:
                bars[record.seed] = max(accuracy, bars.get(record.seed, accuracy))
    return bars


def weigh_accuracy(accuracy: float, bar: float) -> float:
    """Return how far a network counts as accurate: 1 down to 1 point below the bar, 0 from 3 on.

    Linear between, so that no threshold is passed by chance.

    Args:
        accuracy: Of the network, a fraction.
        bar: See ``find_bars``.

    Example:
        >>> [round(weigh_accuracy(accuracy, 0.90), 2) for accuracy in (0.90, 0.88, 0.86)]
        [1.0, 0.5, 0.0]
    """
    lost = bar - accuracy
    if lost <= FREE + CLOSE:
        return 1.0
    return max(0.0, (LOST - lost) / (LOST - FREE))


def is_accurate(row: Row, bars: dict[int, float]) -> bool | None:
    """Return whether a row is within 1 point of the bar, on the mean over seeds; None if unknown.

    A seed whose network could not be made, or has no accuracy, makes the row inaccurate.
    """
    losses = []
    for record in row.records:
        accuracy, bar = record.mean("accuracy"), bars.get(record.seed)
        if record.failure is not None or (accuracy is None and "accuracy" in record.values):
            return False
        if accuracy is None or bar is None:
            return None
        losses.append(bar - accuracy)
    return sum(losses) / len(losses) <= FREE + CLOSE
