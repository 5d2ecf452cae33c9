"""Linear imputation: pixels that are removed become the weighted mean of their neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import solveh_banded
from scipy.ndimage import correlate
from torch import Tensor
from torch.nn.functional import conv2d

# Direct neighbours weigh 1/6, diagonal ones 1/12.
WEIGHTS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
TINY = 1e-300  # what is solved already divides by this
# Each pair of neighbours once: the later pixel seen from the earlier.
LATER = ((0, 1), (1, -1), (1, 0), (1, 1))


LARGEST_DIRECT = 64**2
"""Pixels of an image up to which the system is solved directly. The band grows with the image, so
that larger ones are solved by conjugate gradients."""


def impute(images: Tensor, removed: Tensor) -> Tensor:
    """Fill removed pixels so that each is the weighted mean of its eight neighbours.

    Rong et al. 2022 (ROAD), without the noise. Beyond the border there are no neighbours. The
    linear system is a grid's Laplacian, symmetric and positive definite.

    Args:
        images: b×channels×H×W.
        removed: Which pixels to fill, b×H×W; of no image all of them.

    Returns:
        The images, b×channels×H×W, solved in float64 and given in their own type.
    """
    if removed[0].numel() > LARGEST_DIRECT:
        return impute_by_conjugate_gradients(images, removed)
    return torch.stack(list(map(impute_directly, images, removed)))


def impute_by_conjugate_gradients(
    images: Tensor, removed: Tensor, tolerance: float = 1e-7
) -> Tensor:
    """Impute all images of a batch at once, on their device (Hestenes and Stiefel 1952).

    Args:
        images: b×channels×H×W.
        removed: b×H×W.
        tolerance: Of the residual, as a share of its size at the beginning.
    """
    pixels, gone = images.detach().double(), removed[:, None].double()
    kernel = torch.from_numpy(WEIGHTS).to(pixels)[None, None]

    def around(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)[:, None]
        return conv2d(flat, kernel, padding=1).view_as(values)

    degree = around(torch.ones_like(pixels[:1, :1]))

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum((2, 3), keepdim=True)

    known = pixels * (1 - gone)
    # What is known, averaged, is nearer to the solution than nothing.
    mean = known.sum((2, 3), keepdim=True) / (1 - gone).sum((2, 3), keepdim=True)
    filled = mean * gone
    residual = gone * (around(known) - degree * filled + around(filled))
    size = dot(residual, residual)
    allowed = size * tolerance**2
    direction = residual
    for _ in range(removed[0].numel()):
        if not (size > allowed).any():
            break
        step = gone * (degree * direction - around(direction))
        length = size / dot(direction, step).clamp(min=TINY)
        filled = filled + length * direction
        residual = residual - length * step
        previous, size = size, dot(residual, residual)
        direction = residual + size / previous.clamp(min=TINY) * direction
    return (known + filled).to(images)


def impute_directly(image: Tensor, removed: Tensor) -> Tensor:
    """Impute one image exactly, by a banded Cholesky factorisation on the processor.

    Args:
        image: channels×H×W.
        removed: H×W.
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
    """Return the system's matrix in lower band form: entry (i + d, i) stands at [d, i]."""
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
