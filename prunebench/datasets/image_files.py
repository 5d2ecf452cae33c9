"""Encoded images (JPEG, PNG ...), decoded into a tensor when somebody asks for them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from prunebench.errors import RequestError
from prunebench.input_files import is_file

# The usual ones; above all not EPS, for which Pillow runs another program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
LARGEST_SIDE = 16_384  # pixels to which an image may be resized


Fit = Literal["crop", "squash"]
"""How an image is brought to another size; see ``resize_image``."""


class Encoded(NamedTuple):
    """One image as it is stored: a file, or its bytes; and how messages name it."""

    content: Path | bytes
    name: str


@dataclass(frozen=True)
class ImageFiles:
    """Images that are decoded on demand by threads (Pillow decodes without Python's lock).

    Attributes:
        images: The encoded images.
        channels: 3 for RGB, 1 for grey (ITU-R 601-2 luma, as Pillow converts). Transparency is
            dropped; EXIF orientation is not applied.
        size: Height and width of every image.
        resize: How images of another size are resized (see ``resize_image``); None where they are
            refused.
    """

    images: Sequence[Encoded]
    channels: int
    size: tuple[int, int]
    resize: Fit | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Decode the images at these indices.

        Returns:
            uint8, B×C×H×W.

        Raises:
            RequestError: An image is corrupt or of another size; the message names it.
        """
        chosen = [self.images[i] for i in indices.tolist()]
        pixels = np.empty((len(chosen), self.channels, *self.size), np.uint8)

        def decode(position: int) -> None:
            pixels[position] = self._decode(chosen[position])

        run_in_threads(decode, len(chosen))
        return torch.from_numpy(pixels)

    def read_sizes(self) -> Tensor:
        """Read heights and widths of the images as they are stored, from their headers: int64 N×2.

        Raises:
            RequestError: A header is corrupt, or ``resize`` is not set and a size is another.
        """
        found = np.empty((len(self), 2), np.int64)

        def measure(position: int) -> None:
            image = self.images[position]
            found[position] = read_image_size(image)
            self._check(image, (int(found[position, 0]), int(found[position, 1])))

        run_in_threads(measure, len(self))
        return torch.from_numpy(found)

    def _check(self, image: Encoded, size: tuple[int, int]) -> None:
        if size != self.size and not self.resize:
            raise RequestError(
                f"the image is {size[0]}×{size[1]} (height×width), but the first training image "
                f"is {self.size[0]}×{self.size[1]}; set `size` to resize all images",
                where=image.name,
            )

    def _decode(self, image: Encoded) -> np.ndarray[Any, np.dtype[np.uint8]]:
        with open_image(image) as found:
            self._check(image, (found.height, found.width))
            converted = found.convert("RGB" if self.channels == 3 else "L")
        values = np.asarray(resize_image(converted, self.size, self.resize or "squash"))
        return values.transpose(2, 0, 1) if self.channels == 3 else values[None]


def resize_image(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Resize an image, bilinear with antialiasing.

    Args:
        image: The image.
        size: Height and width.
        fit: ``crop`` scales it until it covers the size and cuts around its centre; ``squash``
            keeps all of it, and not its aspect ratio.
    """
    height, width = size
    if image.size == (width, height):
        return image
    if fit == "squash":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scale = max(height / image.height, width / image.width)
    # The part of the image that is kept, in its own pixels.
    half_width, half_height = width / scale / 2, height / scale / 2
    x, y = image.width / 2, image.height / 2
    box = (
        max(x - half_width, 0),
        max(y - half_height, 0),
        min(x + half_width, image.width),
        min(y + half_height, image.height),
    )
    return image.resize((width, height), Image.Resampling.BILINEAR, box)


def read_image_size(image: Encoded) -> tuple[int, int]:
    """Read height and width of an image from its header.

    Raises:
        RequestError: It is no image that can be read.
    """
    with open_image(image) as found:
        return found.height, found.width


def run_in_threads(work: Callable[[int], None], count: int) -> None:
    """Call ``work`` with 0 ... count-1 in threads; raise the first error in that order."""
    threads = min(os.cpu_count() or 1, 16)
    # Several shares a thread, so that all are busy; not so many that handing them over costs.
    step = max(1, min(256, count // (4 * threads)))

    def share(start: int) -> None:
        for position in range(start, min(start + step, count)):
            work(position)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(share, start) for start in range(0, count, step)]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def open_image(image: Encoded) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong meanwhile becomes an error that names the image.

    Raises:
        RequestError: It is no image in one of ``FORMATS``, no regular file, or deeper than 8 bits.
    """
    content = image.content
    if isinstance(content, Path) and not is_file(content):
        raise RequestError("is no regular file", where=image.name)
    try:
        with Image.open(
            io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS
        ) as found:
            if found.mode.startswith(("I", "F")):
                raise RequestError(
                    f"more than 8 bits a channel (mode {found.mode!r}); convert the image",
                    where=image.name,
                )
            yield found
    except RequestError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on bytes without sense
        raise RequestError(
            f"cannot be decoded as an image ({type(error).__name__}: {error})", where=image.name
        ) from error
