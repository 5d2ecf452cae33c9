"""Every random draw comes from hash(seed, purpose), set before the draw happens."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, independent of all other purposes.

    Args:
        seed: The experiment's seed.
        purpose: What the numbers are for, such as ``"data order", epoch``.
    """
    text = "\0".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def content_seed(image: Tensor) -> int:
    """Return a seed of an image alone: the same in every batch and for every network."""
    content = image.detach().cpu().contiguous().numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[int]:
    """Seed torch, NumPy and ``random`` for one purpose and restore them afterwards."""
    import numpy as np
    import torch

    value = derive(seed, *purpose)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(value)
        np.random.seed(value % 2**32)
        random.seed(value)
        try:
            yield value
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
