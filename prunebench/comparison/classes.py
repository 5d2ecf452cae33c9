"""The classes that pruning hurt most: where maps moved, and where accuracy fell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from prunebench.intervals import Interval, mean_interval, paired_drop

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks

LEAST_IMAGES = 10
"""Images below which a class is not shown: its mean says more of the images than of the class."""
WORST = 5
"""Classes shown."""


@dataclass(frozen=True)
class ComparedClass:
    """One class before and after.

    Attributes:
        name: The class.
        images: Images of it.
        sp2ps: Mean over its images of Sp2PS, that of an image being the mean over the methods.
        drop: Accuracy of the baseline minus the pruned network's; None without labels.
        flipped: Images whose prediction changed.
    """

    name: str
    images: int
    sp2ps: Interval
    drop: Interval | None
    flipped: int


def compare_classes(found: ComparedNetworks) -> list[ComparedClass]:
    """Return the classes with enough images, by the true class where there is one label an image.

    Elsewhere by the class explained. None where fewer than two have enough: there is no worst.
    """
    by = "label" if _has_single_labels(found) else "class"
    images = found.per_image.groupby("image", sort=True)
    table = images.first().assign(sp2ps=images["sp2ps"].mean())
    classes = [
        _compare_class(found.name_class(int(str(index))), rows, by == "label")
        for index, rows in table.groupby(by, sort=True)
        if len(rows) >= LEAST_IMAGES
    ]
    return classes if len(classes) > 1 else []


def find_worst_by_maps(classes: list[ComparedClass]) -> list[ComparedClass]:
    """Return the classes with the lowest Sp2PS, worst first."""
    return _find_lowest({each: each.sp2ps.mean for each in classes})


def find_worst_by_accuracy(classes: list[ComparedClass]) -> list[ComparedClass]:
    """Return the classes whose accuracy fell most, worst first; those that fell at all."""
    drops = {each: each.drop.mean for each in classes if each.drop}
    return _find_lowest({each: -drop for each, drop in drops.items() if drop and drop > 0})


def _find_lowest(values: Mapping[ComparedClass, float | None]) -> list[ComparedClass]:
    known = {each: value for each, value in values.items() if value is not None}
    return sorted(known, key=lambda each: known[each])[:WORST]


def _has_single_labels(found: ComparedNetworks) -> bool:
    return "label" in found.per_image and pd.api.types.is_integer_dtype(found.per_image["label"])


def _compare_class(name: str, rows: pd.DataFrame, labelled: bool) -> ComparedClass:
    drop = None
    if labelled:
        right = [rows[f"prediction_{each}"] == rows["label"] for each in ("baseline", "pruned")]
        drop = paired_drop(right[0].to_numpy(), right[1].to_numpy())
    return ComparedClass(
        name=name,
        images=len(rows),
        sp2ps=mean_interval(rows["sp2ps"].to_numpy()),
        drop=drop,
        flipped=int((rows["change"] == "flipped").sum()),
    )
