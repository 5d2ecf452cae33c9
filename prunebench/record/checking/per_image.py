"""Does what is kept of each image fit what is published of all of them?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prunebench.errors import RequestError
from prunebench.record import PerImage, Record
from prunebench.record.checking.problem import Problem
from prunebench.record.per_image import MOST_IMAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDING = 0.003
"""Of a mean of rounded numbers: each is at most 1/508 off."""


def check_per_image(record: Record) -> Iterator[Problem]:
    """Yield what cannot be unpacked, and what does not fit the record's values."""
    kept = record.per_image
    if kept is None:
        return
    wanted = min(record.conditions.explained_images, MOST_IMAGES)
    if kept.images != wanted:
        yield Problem("per_image.images", f"{kept.images} images", f"{wanted}, as were explained")
    if (kept.labels is not None) and record.role != "baseline":
        yield Problem("per_image.labels", f"labels of the {record.role}", "the baseline's alone")
    yield from _check_classes(record, kept)
    for cam in kept.sp2ps:
        yield from _check_sp2ps(record, kept, cam)


def _check_classes(record: Record, kept: PerImage) -> Iterator[Problem]:
    count = len(record.recalls) or math.inf
    for field, read in (("predicted", kept.read_predicted), ("labels", kept.read_labels)):
        try:
            classes = read()
        except RequestError as error:
            yield _problem(error)
            continue
        if classes is not None and classes.max() >= count:
            wrong = f"class {classes.max()}, and there are recalls of {count}"
            yield Problem(f"per_image.{field}", wrong, f"at most {count - 1}")


def _check_sp2ps(record: Record, kept: PerImage, cam: str) -> Iterator[Problem]:
    field, value = f"per_image.sp2ps.{cam[:80]}", record.values.get(f"sp2ps/{cam}")
    if value is None:
        yield Problem(field, "is no method that sp2ps is published of", "one of its methods")
        return
    try:
        each = kept.read_sp2ps(cam)
    except RequestError as error:
        yield _problem(error)
        return
    if each is None or (value.n or 0) + value.undefined != kept.images:
        return  # other images are behind the mean
    yield from _check_mean(field, each, value.mean, value.undefined)


def _check_mean(
    field: str, each: NDArray[np.float64], mean: float | None, undefined: int
) -> Iterator[Problem]:
    import numpy as np

    defined = each[~np.isnan(each)]
    if (left_out := len(each) - len(defined)) != undefined:
        yield Problem(field, f"is not defined on {left_out} images", f"on {undefined}")
    elif mean is not None and len(defined) and abs(defined.mean() - mean) > ROUNDING:
        wrong = f"its mean {defined.mean():.4f} is not the published one"
        yield Problem(field, wrong, f"{mean:.4f} within {ROUNDING}")


def _problem(error: RequestError) -> Problem:
    wrong, _, expected = error.message.partition("; expected ")
    return Problem(
        error.where or "per_image", wrong, expected or "numbers packed by zlib, in base64"
    )
