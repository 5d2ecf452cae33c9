"""Can a value be what it says?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from prunebench.record import Record, Value
from prunebench.record.checking.problem import Problem

ROUNDING = 1e-6

RANGES = (
    (r"accuracy(_top5)?|agreement|density|zero_map_fraction", 0, 1),
    (r"sam(_jet)?|sp2ps(_jet|_uniform|_kept|_flipped|_class_\d+)?", 0, 1),
    (r"soft_iou|iou|pe_score|top_overlap", 0, 1),
    (r"ssim_negative_share|js_divergence|centre_distance", 0, 1),
    (r"mask_iou|pointing_game|relevance_mass|insertion_auc|deletion_auc", 0, 1),
    (r"average_drop|increase|coherency|complexity|adcc|sparseness|entropy", 0, 1),
    (r"road_(morf|lerf)", 0, 1),
    (r"road", -0.5, 0.5),
    (r"ssim(_uniform)?|pearson|spearman|coherency_ssim|accuracy_drop|randomisation(_\w+)?", -1, 1),
    (r"\w*params|\w*prunable_weights|\w*macs|flops(_sp2ps)?|\w*_bytes", 0, math.inf),
    (r"rbf_(centre_)?distance|rbf_width_ratio", 0, math.inf),
    (r"\w*latency_\w+|\w*throughput_\w+|max_sensitivity|complexity_l1norm", 0, math.inf),
)
"""Values by the form of their names, and between what they lie; others are not judged."""
WHOLE = re.compile(r"\w*params|\w*prunable_weights|macs|flops|\w*_bytes")
EACH_0_OR_1 = re.compile(r"accuracy(_top5)?|agreement|pointing_game|increase|ssim_negative_share")
_RANGES = [(re.compile(pattern), low, high) for pattern, low, high in RANGES]


def out_of_range(record: Record) -> Iterator[Problem]:
    """Names values that their metric cannot give, and counts of images that cannot be."""
    for name, value in record.values.items():
        plain = re.split(r"[/(]", name, maxsplit=1)[0]
        yield from _bounds(name, plain, value)
        yield from _images(name, plain, value, record)
    for name, gone in record.reached.model_dump().items():
        if record.axis in ("none", "masked") and gone < 0:
            yield Problem(f"reached.{name}", f"{gone:g}, and nothing was added", "at least 0")


def _bounds(name: str, plain: str, value: Value) -> Iterator[Problem]:
    limits = next(((low, high) for form, low, high in _RANGES if form.fullmatch(plain)), None)
    for part in ("mean", "low", "high"):
        number = getattr(value, part)
        if number is None:
            continue
        if limits and not limits[0] - ROUNDING <= number <= limits[1] + ROUNDING:
            wrong = f"{number:g} is outside its range"
            yield Problem(f"values.{name}.{part}", wrong, f"{limits[0]:g} to {limits[1]:g}")
        elif WHOLE.fullmatch(plain) and number != round(number):
            yield Problem(f"values.{name}.{part}", f"{number!r} is a count", "a whole number")


def _images(name: str, plain: str, value: Value, record: Record) -> Iterator[Problem]:
    n, field = value.n, f"values.{name}.n"
    if value.undefined < 0:
        yield Problem(f"values.{name}.undefined", f"{value.undefined}", "at least 0")
    if n is not None and (n < 0 or (n == 0) != (value.mean is None)):
        yield Problem(field, f"{n} images, and the mean is {value.mean}", "the images behind it")
    elif n and EACH_0_OR_1.fullmatch(plain) and value.mean is not None:
        right = value.mean * n
        if abs(right - round(right)) > ROUNDING * n:
            wrong = f"{value.mean!r} is no share of {n} images"
            yield Problem(f"values.{name}.mean", wrong, f"{round(right)}/{n} or the like")
    images = (n or 0) + value.undefined
    if "/" in name and images > record.conditions.explained_images:
        wrong = f"{images} images, undefined ones counted"
        yield Problem(field, wrong, f"at most {record.conditions.explained_images} explained")
    if (value.low is None) != (value.high is None):
        yield Problem(f"values.{name}.low", "an interval with one end", "both ends or none")
    if value.low is not None and not value.interval:
        yield Problem(f"values.{name}.interval", "is missing", "what the interval covers")
