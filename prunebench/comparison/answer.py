"""The answer to "may I ship it?", in a sentence that a person would say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prunebench.comparison.chance import find_chance
from prunebench.comparison.number_format import format_share
from prunebench.comparison.verdict import conclude, judge_methods

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks

Change = Literal["fell", "noise", "rose", "unknown", "unsure"]
"""Changes of accuracy: beyond noise, where its interval does not hold 0; unsure, where the
interval holds 0 and large drops, too."""
LARGE = 0.05
"""A drop that must be excluded before accuracy is called kept: 5 points."""


def give_answer(found: ComparedNetworks) -> str:
    """Return whether the pruned network may be shipped, and on what grounds, in one sentence."""
    if found.withheld:
        return conclude(found)
    verdicts = judge_methods(found)
    decided = [verdict for verdict in verdicts.values() if verdict is not None]
    accuracy, attention = _describe_accuracy(found), _describe_attention(found, verdicts)
    if not decided:
        return f"No verdict: {accuracy}, but {attention}."
    change = find_change(found)
    if not all(decided):
        opening = "Look before you ship" if change != "fell" else "Do not ship"
        link = "and" if change == "fell" else "but"
        return f"{opening}: {accuracy}, {link} {attention}."
    if change == "fell":
        return f"Ship only if the accuracy will do: {accuracy}, though {attention}."
    opening = {
        "unknown": "Its attention is kept, check the accuracy",
        "unsure": "Its attention is kept, look at more images",
    }.get(change, "It may ship")
    return f"{opening}: {accuracy}, and {attention}."


def find_change(found: ComparedNetworks) -> Change:
    """Return what became of accuracy."""
    if found.accuracy is None or found.accuracy.drop.low is None:
        return "unknown"
    drop = found.accuracy.drop
    assert drop.low is not None
    assert drop.high is not None
    if drop.low <= 0 <= drop.high:
        return "unsure" if drop.high > LARGE else "noise"
    return "fell" if drop.low > 0 else "rose"


def format_drop(found: ComparedNetworks) -> str:
    """Return the drop of accuracy in points with its interval, such as ``0.4 (−0.3 to 1.1)``."""
    if found.accuracy is None:
        return "–"
    drop = found.accuracy.drop
    mean = format_points(found.accuracy.baseline - found.accuracy.pruned)
    if drop.low is None or drop.high is None:
        return mean
    return f"{mean} ({format_points(drop.low)} to {format_points(drop.high)})"


def format_points(share: float) -> str:
    """Return a share in points, with a minus sign and without a negative zero."""
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")


def _describe_accuracy(found: ComparedNetworks) -> str:
    equal = round(found.agreement * found.images)
    same = f"it answers as the baseline on {equal} of {found.images} images"
    if found.accuracy is None:
        return f"there are no labels to count its errors by, {same}"
    drop = found.accuracy.drop
    change = find_change(found)
    if change == "unknown":
        return f"there are too few images to judge its accuracy, {same}"
    if drop.low == drop.high == 0:
        return f"accuracy is as before, {found.accuracy.pruned:.1%}"
    mean = found.accuracy.baseline - found.accuracy.pruned
    low, high = drop.low, drop.high
    assert low is not None
    assert high is not None
    verb = "fell" if mean > 0 else "rose" if mean < 0 else "changed"
    if mean < 0:
        mean, low, high = -mean, -high, -low
    points = f"{format_points(mean)} points ({format_points(low)} to {format_points(high)})"
    noise = {
        "noise": ", which is within noise",
        "unsure": f", and {found.images} images do not exclude a large drop",
    }.get(change, "")
    return f"accuracy {verb} by {points}{noise}"


def _describe_attention(found: ComparedNetworks, verdicts: dict[str, bool | None]) -> str:
    if chance := find_chance(found.scores, found.controls):
        return f"by {' and '.join(chance)} its maps keep nothing beyond chance"
    decided = [cam for cam, verdict in verdicts.items() if verdict is not None]
    if not decided:
        return "no explanation method with a published threshold could judge its maps"
    # By the method that comes out worst, against its own threshold.
    scores = found.scores.loc[decided]
    cam = str((scores["sp2ps_low"] - scores["threshold"]).idxmin())
    row = found.scores.loc[cam]
    near = abs(row["sp2ps"] - row["threshold"]) < 0.01
    shown = f"({cam}: Sp2PS {row['sp2ps']:.{3 if near else 2}f}, threshold {row['threshold']:.2f})"
    if verdicts[cam]:
        return f"the network looks where the baseline looked {shown}"
    values = found.per_image.loc[found.per_image["cam"] == cam, "sp2ps"].dropna()
    share = float((values < row["threshold"]).mean())
    others = " and ".join(other for other in decided if verdicts[other])
    divided = f"; by {others} they are kept" if others else ""
    part = f"on {format_share(share)} of the images"
    return f"{part} its maps are less alike than the threshold {shown}{divided}"
