"""Preservation between two controls: random weights are 0, training alone is 1."""

from __future__ import annotations

from dataclasses import dataclass

from prunebench.leaderboard.board.grid import CLOSE
from prunebench.leaderboard.board.rows import Estimate, Row
from prunebench.record.scales import scale_of

LEAST_APART = 0.1
"""The two controls' least distance: between closer ones the scale would magnify noise."""


@dataclass(frozen=True)
class Rescaled:
    """A value on the scale between the controls.

    Attributes:
        value: 0 at random weights, 1 at the ``none`` control; it may lie outside. None where it
            has no meaning.
        reason: Why ``value`` is None.
    """

    value: float | None
    reason: str | None = None


def rescale_estimate(value: Estimate, reference: Estimate, floor: Estimate) -> Rescaled:
    """Bring a value to the scale between the controls: (s − floor) / (reference − floor).

    All three are means over seeds. The result is not clipped: above 1 is nearer to the baseline
    than training alone leaves it (the baseline itself, for one), below 0 farther than random
    weights. It has no interval: one would have to cover the controls' uncertainty too.

    Args:
        value: What a row has, s.
        reference: What the ``none`` control has.
        floor: What random weights have.

    Returns:
        No value, with the reason, where one of the three has no mean, or where the reference is
        not at least 0.1 above the floor.
    """
    if reference.mean is None:
        return Rescaled(None, f"the `none` control has no value: {reference.reason}")
    if floor.mean is None:
        return Rescaled(None, f"random weights have no value: {floor.reason}")
    apart = reference.mean - floor.mean
    if apart < LEAST_APART - CLOSE:
        how = "below" if apart <= -LEAST_APART else f"closer than {LEAST_APART} to"
        return Rescaled(
            None,
            f"not rescaled: `none` ({reference.mean:.3f}) is {how} random weights "
            f"({floor.mean:.3f})",
        )
    if value.mean is None:
        return Rescaled(None, value.reason)
    return Rescaled((value.mean - floor.mean) / apart)


def rescale_row(row: Row, name: str, control: Row | None, floor: Row | None) -> Rescaled:
    """Rescale one of a row's values between the controls of its protocol.

    Args:
        row: Any row of the protocol.
        name: A value that compares maps with the baseline's, such as ``sp2ps/grad-cam``.
        control: The ``none`` control.
        floor: The same architecture with random weights.

    Returns:
        As ``rescaled``; no value either where a control or one of the seeds is missing.
    """
    if control is None:
        return Rescaled(None, "not rescaled: there is no `none` control")
    if floor is None:
        return Rescaled(None, "not rescaled: no maps under random weights were measured")
    for whose, found in (("`none` has", control), ("random weights have", floor), ("it has", row)):
        if found.missing:
            return Rescaled(None, f"not rescaled: {whose} {found.seeds} seeds")
    return rescale_estimate(row.get(name), control.get(name), floor.get(name))


def list_preservation_values(row: Row | None) -> set[str]:
    """Return the names of a row's values that can be rescaled, such as ``ssim/grad-cam``."""
    return {name for name in (row.estimates if row else ()) if compares_maps(name)}


def compares_maps(name: str) -> bool:
    """Return whether a value compares maps with the baseline's and is 1 where they are the same.

    Parts of such a value, of some images or beside the metric's main value, do not count.
    """
    scale = scale_of(name)
    if scale is None or not scale.main or scale.images != "all":
        return False
    return scale.quantity == "preservation" and scale.bounds[1] == 1
