"""scikit-learn's handwritten digits: real images that need no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from prunebench.datasets.dataset import Dataset
from prunebench.errors import RequestError

if TYPE_CHECKING:
    from prunebench.data import Data

IMAGES = 1797


class Digits(Dataset):
    """Handwritten digits, 8×8 shown at 32×32, 1 channel: 997 train, 300 validation, 500 test."""

    def files(self) -> list[Path]:
        """Find scikit-learn's own ``digits.csv.gz`` without importing scikit-learn."""
        spec = importlib.util.find_spec("sklearn")
        if spec is None or spec.origin is None:
            raise RequestError("digits: scikit-learn is not installed; `pip install scikit-learn`")
        path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if not path.is_file():
            raise RequestError("digits: no such file; reinstall scikit-learn", where=str(path))
        return [path]

    def load(self) -> Data:
        """Read the images, uint8 N×1×32×32; each is its own mask."""
        import numpy as np
        import torch

        from prunebench.data import Data, Normalisation, Split
        from prunebench.datasets.splits import draw_permutation

        (path,) = self.files()
        try:
            rows = np.loadtxt(path, delimiter=",", dtype=np.int64)
        except (OSError, EOFError, ValueError) as error:
            raise RequestError(f"digits: cannot be read: {error}", where=str(path)) from error
        if rows.shape != (IMAGES, 65):
            raise RequestError(
                f"digits: {IMAGES} rows of 64 pixels and a label expected, found {rows.shape}",
                where=str(path),
            )
        # All values are multiples of 1/1024 below 256, which float32 holds exactly, so that the
        # rounded pixels are the same on every machine.
        small = torch.from_numpy(rows[:, :64]).float().view(-1, 1, 8, 8) * (255 / 16)
        large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear")
        everything = Split(large.round().to(torch.uint8), torch.from_numpy(rows[:, 64].copy()))
        order = draw_permutation(IMAGES, "digits")
        return Data(
            everything.subset(order[:997]).with_images_as_masks(),
            everything.subset(order[997:1297]).with_images_as_masks(),
            everything.subset(order[1297:]).with_images_as_masks(),
            tuple("0123456789"),
            Normalisation(mean=(0.306,), std=(0.324,)),
        )
