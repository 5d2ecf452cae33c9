"""Linear imputation: pixels that are removed become the weighted mean of their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import solveh_banded
from scipy.ndimage import correlate
from torch import Tensor

# Direct neighbours weigh 1/6, diagonal ones 1/12.
WEIGHTS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
# Each pair of neighbours once: the later pixel seen from the earlier.
LATER = ((0, 1), (1, -1), (1, 0), (1, 1))


def impute(image: Tensor, removed: Tensor) -> Tensor:
    """Fills removed pixels so that each is the weighted mean of its eight neighbours.

    Rong et al. 2022 (ROAD), without the noise. Beyond the border there are no
    neighbours. The linear system is a grid's Laplacian, symmetric and positive definite, whose
    band is about as wide as the image: a banded Cholesky factorisation solves it exactly.

    Args:
        image: channels×H×W.
        removed: Which pixels to fill, H×W; not all of them.

    Returns:
        The image, channels×H×W, solved in float64 and given in the image's own type.
    """
    gone = removed.cpu().numpy()
    if not gone.any():
        return image
    pixels = image.detach().cpu().double().numpy()
    known = correlate(np.where(gone, 0, pixels), WEIGHTS[None], mode="constant")[:, gone]
    filled = pixels.copy()
    filled[:, gone] = solveh_banded(_laplacian(gone), known.T, lower=True).T
    return torch.from_numpy(filled).to(image)


def _laplacian(gone: np.ndarray) -> np.ndarray:
    """The system's matrix in lower band form: entry (i + d, i) stands at [d, i]."""
    rows, columns = np.nonzero(gone)
    unknowns = np.arange(len(rows))
    number = np.full(gone.shape, -1)
    number[gone] = unknowns
    number = np.pad(number, 1, constant_values=-1)
    neighbours = [number[rows + 1 + down, columns + 1 + right] for down, right in LATER]
    width = max(int((numbers - unknowns).max()) for numbers in neighbours)
    band = np.zeros((max(width, 0) + 1, len(rows)))
    band[0] = correlate(np.ones(gone.shape), WEIGHTS, mode="constant")[gone]
    for (down, right), numbers in zip(LATER, neighbours, strict=True):
        both = numbers >= 0
        band[(numbers - unknowns)[both], unknowns[both]] = -WEIGHTS[1 + down, 1 + right]
    return band
