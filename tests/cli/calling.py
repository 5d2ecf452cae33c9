"""What a call of the command line gives, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

Write = Callable[..., Path]
LITTLE = {
    "model": "{toy-cnn: {training: {epochs: 1}}}",
    "pruners": "[l1-unstructured]",
    "levels": "[0.3]",
    "recovery": None,
    "cams": "[grad-cam]",
    "explain": "{images: 6}",
}


class Done(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Done]


def refused(done: Done, *words: str) -> None:
    """Exit status 2 and one line that says why, or the usage message of a wrong option."""
    assert done.status == 2, done
    assert "Traceback" not in done.out + done.err
    assert done.err.startswith("error: "), done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    for word in words:
        assert word in done.err, done.err


def write_images(folder: Path, count: int = 12) -> None:
    random = np.random.default_rng(0)
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        for number in range(count // 2):
            pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
