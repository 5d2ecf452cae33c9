"""Pictures for MLflow: an image, where the baseline looks, and where this network looks."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable

import numpy as np
from matplotlib import colormaps
from PIL import Image

from prunebench.record import Record

SIDE = 192  # pixels of one picture


def overlays(record: Record, baseline: Record | None = None) -> Iterable[tuple[str, bytes]]:
    """Yield image, baseline's map and own map side by side, for each image and method.

    Maps are laid over the image. Where a record may not show the image, they stand by themselves.

    Args:
        record: The network's record.
        baseline: Its baseline's; without it, its map is left out.
    """
    theirs = {(heat.image, heat.cam): heat.png for heat in baseline.heatmaps} if baseline else {}
    images = {heat.image: heat.png for heat in record.heatmaps if heat.cam is None}
    for heat in record.heatmaps:
        if heat.cam is None:
            continue
        png = images.get(heat.image)
        image = None if png is None else _picture(png).convert("RGB")
        before = theirs.get((heat.image, heat.cam))
        maps = [_laid_over(image, each) for each in (before, heat.png) if each is not None]
        row = maps if image is None else [image, *maps]
        name = re.sub(r"[^\w.-]", "_", heat.cam.replace("++", "-pp"))
        yield f"image-{heat.image}-{name}", _side_by_side(row)


def _picture(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png)))


def _laid_over(image: Image.Image | None, png: str) -> Image.Image:
    colours = 255 * colormaps["viridis"](np.asarray(_picture(png), dtype=float) / 255)[:, :, :3]
    under = colours if image is None else np.asarray(image, dtype=float)
    mixed = 0.5 * under + 0.5 * colours
    return Image.fromarray(mixed.round().astype(np.uint8))


def _side_by_side(row: list[Image.Image]) -> bytes:
    scale, gap = max(1, SIDE // max(row[0].size)), 6
    width, height = row[0].width * scale, row[0].height * scale
    sheet = Image.new("RGB", (len(row) * (width + gap) - gap, height), "white")
    for index, part in enumerate(row):
        larger = part.resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(larger, (index * (width + gap), 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
