"""A folder of image files as one batch of a network's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prunebench.data import Normalisation
from prunebench.datasets.image_files import LARGEST_SIDE, Encoded, open_image, resize_image
from prunebench.errors import RequestError
from prunebench.input_files import is_folder, spell

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
MODES = {1: "L", 3: "RGB"}


def load_images(
    folder: Path | str,
    size: tuple[int, int] | int,
    mean: Sequence[float],
    std: Sequence[float],
    limit: int | None = None,
) -> tuple[Tensor, list[str]]:
    """Read the images in a folder and its subfolders, in the order of their names.

    Each image is scaled bilinearly until it covers the size asked for, and cut around its
    centre, as the data set ``folder`` does. There are as many channels as means: three for
    colour, one for grey.

    Args:
        folder: Where the files are (bmp, gif, jpeg, png, ppm, tiff, webp).
        size: Height and width that the network wants; one number for a square.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel.
        limit: Read at most so many, evenly spaced among all; all by default.

    Returns:
        Normalised images, float32, N×C×H×W, and their paths relative to the folder.

    Raises:
        RequestError: No such folder, no images in it, an image that cannot be read, or a
            normalisation or size that makes no sense.
    """
    root, shape = Path(folder), (size, size) if isinstance(size, int) else size
    if min(shape) < 1 or max(shape) > LARGEST_SIDE:
        raise RequestError(
            f"size {shape} is no image size; expected height and width of 1 to {LARGEST_SIDE:,}"
        )
    if limit is not None and limit < 1:
        raise RequestError(f"limit {limit} leaves no image; expected 1 or more")
    if len(mean) not in MODES or len(mean) != len(std) or min(std) <= 0:
        raise RequestError(
            f"mean {tuple(mean)} and deviation {tuple(std)} do not fit; expected one or three "
            "numbers each, deviations above 0"
        )
    if not is_folder(root):
        raise RequestError("no such folder", where=spell(root))
    # Pipes and what is worse are left out with all that is no image.
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise RequestError(
            f"the folder holds no image ({', '.join(sorted(SUFFIXES))})", where=str(root)
        )
    if limit is not None and limit < len(paths):
        # Evenly spaced: the first ones may all be of one class.
        paths = [paths[round(i * len(paths) / limit)] for i in range(limit)]
    normalise = Normalisation(tuple(mean), tuple(std))
    images = torch.cat([normalise(_read_image(path, MODES[len(mean)], shape)) for path in paths])
    return images, [spell(path.relative_to(root).as_posix()) for path in paths]


def _read_image(path: Path, mode: str, size: tuple[int, int]) -> Tensor:
    """Read one image, cut to size, uint8, 1×C×H×W."""
    with open_image(Encoded(path, spell(path))) as file:
        image = file.convert(mode)
    pixels = torch.from_numpy(np.array(resize_image(image, size, "crop"))).view(*size, -1)
    return pixels.permute(2, 0, 1)[None]
