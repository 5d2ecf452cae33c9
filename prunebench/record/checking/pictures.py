"""Are the pictures small pictures, and is each there that should be?"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

from prunebench.record import Record
from prunebench.record.checking.problem import Problem
from prunebench.record.fields import WIDEST, WIDEST_OF_PRUNER

IMAGE, MAP = ("L", "RGB"), ("L",)


def check_pictures(record: Record) -> Iterator[Problem]:
    """Yield pictures that are none, are too large, are missing, or may not be shown."""
    images = {heat.image for heat in record.heatmaps if heat.cam is None}
    for index, heat in enumerate(record.heatmaps):
        field = f"heatmaps.{index}"
        yield from _check_picture(f"{field}.png", heat.png, WIDEST, MAP if heat.cam else IMAGE)
        if heat.cam is None and record.pictures_withheld:
            yield Problem(f"{field}.png", "an image that is withheld", "maps alone")
        elif heat.image not in images and not record.pictures_withheld:
            yield Problem(
                f"{field}.image", f"image {heat.image} is not shown", "it before its maps"
            )
    yield from _check_moved(record)
    yield from _check_changed(record)
    for name, png in record.pictures.items():
        yield from _check_picture(f"pictures.{name}", png, WIDEST_OF_PRUNER, IMAGE)
        if record.pictures_withheld:
            yield Problem(f"pictures.{name}", "may hold an image that is withheld", "none")


def _check_moved(record: Record) -> Iterator[Problem]:
    if record.moved and record.role == "baseline":
        yield Problem("moved", "the baseline cannot move from itself", "none")
    for index, moved in enumerate(record.moved):
        field = f"moved.{index}"
        for name in ("before", "after"):
            yield from _check_picture(f"{field}.{name}", getattr(moved, name), WIDEST, MAP)
        yield from _check_shown_image(record, f"{field}.png", moved.png)
        if record.mean(f"sp2ps/{moved.cam}") is None:
            yield Problem(f"{field}.cam", f"there is no sp2ps/{moved.cam}", "a method compared")
        classes = (moved.baseline_class, moved.own_class)
        if record.classes and any(k is not None and k >= len(record.classes) for k in classes):
            wrong = f"a class beyond the {len(record.classes)} there are"
            yield Problem(f"{field}.own_class", wrong, "the number of a class")


def _check_changed(record: Record) -> Iterator[Problem]:
    if record.changed and record.role == "baseline":
        yield Problem("changed", "the baseline cannot differ from itself", "none")
    if len({changed.image for changed in record.changed}) < len(record.changed):
        yield Problem("changed", "an image is there twice", "each image once")
    for index, changed in enumerate(record.changed):
        field = f"changed.{index}"
        yield from _check_shown_image(record, f"{field}.png", changed.png)
        if changed.own_class == changed.baseline_class:
            wrong = f"{changed.own_class} is the baseline's, too"
            yield Problem(f"{field}.own_class", wrong, "another class")
        for name in ("baseline_class", "own_class", "label"):
            if record.classes and getattr(changed, name) >= len(record.classes):
                wrong = f"a class beyond the {len(record.classes)} there are"
                yield Problem(f"{field}.{name}", wrong, "the number of a class")


def _check_shown_image(record: Record, field: str, image: str | None) -> Iterator[Problem]:
    if image is not None:
        yield from _check_picture(field, image, WIDEST, IMAGE)
    if (image is None) != bool(record.pictures_withheld):
        wrong = "is missing" if image is None else "an image that is withheld"
        yield Problem(field, wrong, "images, unless they are withheld")


def _check_picture(field: str, png: str, widest: int, modes: tuple[str, ...]) -> Iterator[Problem]:
    from PIL import Image

    try:
        # Opening reads the header alone, so that nothing large is ever decoded.
        picture = Image.open(io.BytesIO(base64.b64decode(png, validate=True)), formats=["PNG"])
        size, mode, frames = picture.size, picture.mode, getattr(picture, "n_frames", 1)
        if max(size) <= widest:
            picture.load()
    except Exception as error:  # decoders raise all sorts of errors on bytes made up to harm
        yield Problem(field, f"cannot be decoded: {type(error).__name__}", "a PNG in base64")
        return
    if max(size) > widest:
        yield Problem(field, f"{size[0]}×{size[1]} pixels", f"at most {widest}")
    if mode not in modes or frames != 1:
        wrong = f"a picture of mode {mode!r} with {frames} frames"
        yield Problem(field, wrong, f"one of mode {' or '.join(modes)}")
