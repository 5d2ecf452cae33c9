"""Advice on what to try next, and why a smaller network is not faster: each where it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.comparison.answer import find_change
from prunebench.comparison.chance import find_chance
from prunebench.comparison.classes import ComparedClass
from prunebench.comparison.verdict import judge_methods

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks
    from prunebench.comparison.costs import ComparedCosts

NOTICEABLE = 0.05
"""Change of a cost, as a fraction, below which nothing is said of it."""
LEAST_FLIPS = 10
"""Changed predictions below which nothing is said of the classes they are in."""


def explain_speed(cost: ComparedCosts) -> str:
    """Return why the pruned network is not faster, in one sentence; empty where it is."""
    if not cost.times:
        return ""
    speedup, batch = cost.times[-1].speedup, cost.times[-1].batch
    if speedup.low > 1 and speedup.median > 1 + NOTICEABLE:
        return ""
    hardly = "hardly" if speedup.median <= 1 + NOTICEABLE else "not measurably"
    images = f"a batch of {batch}" if batch > 1 else "one image"
    saved = (
        1 - cost.pruned.macs / cost.baseline.macs if cost.pruned.macs and cost.baseline.macs else 0
    )
    if saved > NOTICEABLE:
        return (
            f"It computes {saved:.0%} less and is {hardly} faster for {images} here: narrow layers "
            "use vector units badly, and moving activations and starting each layer cost what they "
            "did."
        )
    if (zeros := find_zeros(cost)) > NOTICEABLE:
        return (
            f"{zeros:.0%} of its parameters are zero, but they are stored and multiplied like any "
            "other number: dense kernels skip no zeros."
        )
    if cost.pruned.params < (1 - NOTICEABLE) * cost.baseline.params:
        return (
            "Parameters were removed where little is computed (as in the last layers), so that the "
            "work of an image stayed the same."
        )
    return ""


def find_zeros(cost: ComparedCosts) -> float:
    """Return the share of the pruned network's parameters that pruning made zero."""
    before, after = (
        1 - each.nonzero_params / max(each.params, 1) for each in (cost.baseline, cost.pruned)
    )
    return max(after - before, 0)


def list_advice(found: ComparedNetworks, classes: list[ComparedClass]) -> list[str]:
    """Return what to try, one sentence each with its reason.

    Args:
        found: The comparison.
        classes: As ``compare_classes`` made them.
    """
    if found.withheld:
        return []
    advice = []
    chance = find_chance(found.scores, found.controls)
    if chance:
        advice.append(
            f"Do not rest on the maps of {', '.join(chance)}: random weights come as near to the "
            "baseline's, so they carry no information about this pruning. Try another method or "
            "target layer."
        )
    lost = any(
        verdict is False for cam, verdict in judge_methods(found).items() if cam not in chance
    )
    if lost and find_change(found) in ("noise", "rose"):
        advice.append(
            "Accuracy is kept, as far as these images tell, and attention is not: fine-tune at a "
            "lower learning rate, prune at a lower level, or take a pruner that the board ranks "
            "higher, which may keep both."
        )
    elif lost and find_change(found) == "fell":
        advice.append(
            "Accuracy and attention both fell: prune at a lower level, or fine-tune longer before "
            "looking at anything else."
        )
    if found.cost and find_zeros(found.cost) > NOTICEABLE:
        advice.append(
            "The pruning is a mask of zeros, which saves nothing by itself: remove whole channels "
            "instead, or run it in a runtime with sparse kernels."
        )
    if concentrated := _find_concentration(classes, found):
        advice.append(concentrated)
    return advice


def _find_concentration(classes: list[ComparedClass], found: ComparedNetworks) -> str:
    """Say where at least half of all changed predictions lie in a quarter of the images."""
    flips = round((1 - found.agreement) * found.images)
    worst = sorted(classes, key=lambda each: -each.flipped)[:3]
    held, images = sum(each.flipped for each in worst), sum(each.images for each in worst)
    if flips < LEAST_FLIPS or held < flips / 2 or images > found.images / 4:
        return ""
    names = ", ".join(each.name for each in worst if each.flipped)
    return (
        f"Look at {names}: {held} of {flips} changed predictions are there, in {images} of "
        f"{found.images} images."
    )
