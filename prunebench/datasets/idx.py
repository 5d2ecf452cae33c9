"""IDX, the file format of MNIST: a magic number, the shape, then the bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from prunebench.errors import RequestError


def read_idx(path: Path, dimensions: int) -> Tensor:
    """Read an IDX file of unsigned bytes, gzipped or not.

    The header is big-endian 32-bit words: the magic number 0x00000800 + dimensions, then one
    length a dimension (http://yann.lecun.com/exdb/mnist/).

    Args:
        path: The file; gzipped if its name ends in ``.gz``.
        dimensions: Dimensions expected: 3 for images, 1 for labels.

    Returns:
        uint8 of the shape that the header gives.

    Raises:
        RequestError: The file is no such file, truncated or too long.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"truncated or corrupt: {error}", where=str(path)) from error
    header = struct.calcsize(f">{1 + dimensions}I")
    if len(content) < header:
        raise RequestError(f"truncated: {len(content)} bytes hold no IDX header", where=str(path))
    magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    if magic != 0x800 + dimensions:
        raise RequestError(
            f"no IDX file of bytes in {dimensions} dimensions: magic number {0x800 + dimensions} "
            f"expected, found {magic}",
            where=str(path),
        )
    expected, found = math.prod(shape), len(content) - header
    if found != expected:
        problem = "truncated" if found < expected else "too long"
        raise RequestError(
            f"{problem}: the header promises {expected} bytes, the file holds {found}",
            where=str(path),
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[header:].view(shape)
