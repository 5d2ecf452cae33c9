"""What a record holds of each explained image, in a byte or two an image.

Numbers are kept as unsigned bytes (16 bits, the lower byte first, where a class does not fit into
8), packed by zlib, as base64. How many there are is said beside them, which tells the width and
bounds what is unpacked.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from prunebench.errors import RequestError
from prunebench.record.fields import Strict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

MOST_IMAGES = 2_000
"""Of more explained images, the first ones are kept."""
STEPS = 254
"""The code of 1; 0 is 0, and what lies between is rounded to the nearest code."""
UNDEFINED = 255
LARGEST_CLASS = 2**16 - 1
NARROW = 256  # classes that fit into a byte

Packed = Annotated[str, Field(max_length=8_000)]
"""More than incompressible numbers of 16 bits of all images need."""


class PerImage(Strict):
    """What is known of each explained image, in the order in which they are explained.

    That order is the same for all networks and seeds of one data set.

    Attributes:
        images: How many images: all that were explained, or the first ones of very many.
        predicted: The class that this network predicts, packed; null where none is stored.
        labels: The true class, packed: in the baseline's record, for all that are compared with it.
        sp2ps: By explanation method, how much of the baseline's map is left, packed:
            round(254·Sp2PS), or 255 where it is not defined.
    """

    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    predicted: Packed | None = None
    labels: Packed | None = None
    sp2ps: dict[str, Packed] = Field({}, max_length=100)

    def read_predicted(self) -> NDArray[np.int64] | None:
        """Return the class predicted of each image; None where none is stored.

        Raises:
            RequestError: What is stored is damaged.
        """
        return self._read_classes("predicted")

    def read_labels(self) -> NDArray[np.int64] | None:
        """Return the true class of each image; None but in a baseline's record.

        Raises:
            RequestError: What is stored is damaged.
        """
        return self._read_classes("labels")

    def read_sp2ps(self, cam: str) -> NDArray[np.float64] | None:
        """Return Sp2PS of each image, NaN where it is not defined.

        Args:
            cam: The explanation method's label. None is returned where it is not compared.

        Raises:
            RequestError: What is stored is damaged.
        """
        import numpy as np

        if (packed := self.sp2ps.get(cam)) is None:
            return None
        codes = _unpack(packed, self.images, f"per_image.sp2ps.{cam}")
        if codes.itemsize != 1:
            raise RequestError(
                "has two bytes an image; expected one", where=f"per_image.sp2ps.{cam}"
            )
        return np.where(codes == UNDEFINED, np.nan, codes / STEPS)

    def _read_classes(self, field: str) -> NDArray[np.int64] | None:
        packed = getattr(self, field)
        if packed is None:
            return None
        return _unpack(packed, self.images, f"per_image.{field}").astype("int64")


def pack_classes(classes: ArrayLike, count: int) -> str | None:
    """Pack the class of each image.

    Args:
        classes: One number an image.
        count: How many classes there are; None is returned where 16 bits do not hold them.
    """
    if count > LARGEST_CLASS + 1:
        return None
    return _pack(classes, "<u1" if count <= NARROW else "<u2")


def pack_sp2ps(values: ArrayLike) -> str:
    """Pack fractions, NaN where one is not defined."""
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64)
    codes = np.round(np.clip(numbers, 0, 1) * STEPS)
    return _pack(np.where(np.isfinite(numbers), codes, UNDEFINED), "<u1")


def _pack(numbers: ArrayLike, kind: str) -> str:
    import numpy as np

    content = np.asarray(numbers)[:MOST_IMAGES].astype(kind).tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _unpack(packed: str, images: int, where: str) -> NDArray[Any]:
    """Unpack one number an image; never more bytes than these need.

    Raises:
        RequestError: It is not base64 of zlib, or of another number of images.
    """
    import numpy as np

    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(packed, validate=True), 2 * images + 1)
    except (ValueError, zlib.error) as error:
        raise RequestError(f"cannot be unpacked: {error}", where=where) from None
    ended = unpacking.eof and not unpacking.unused_data
    if not ended or len(content) not in (images, 2 * images):
        found = f"{len(content):,} bytes" if ended else "more, or fewer, bytes than it says"
        raise RequestError(
            f"holds {found}; expected one or two for each of {images:,} images", where=where
        )
    return np.frombuffer(content, "<u1" if len(content) == images else "<u2")
