"""Masks of pixels: how probable each pixel is, drawing masks, and what a mask costs.

Pixels are counted from the top left; pixel i lies at i, so that centres in [0, H] are inside an
image of height H.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import RelaxedBernoulli

BORDER = 0.3
"""Weight of the mask's border in its roughness."""
SIDE = 32
"""Side of the images for which the weights of the published losses were chosen."""


def compute_rbf(parameters: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute probabilities that fall with the distance from a centre.

    exp(−((z − c_z)² + (t − c_t)²) / 2σ²) (Ganjdanesh, Gao and Huang 2022, equation 4).

    Args:
        parameters: Of each image the centre's row c_z and column c_t and the width σ > 0, in
            pixels, B×3.
        size: Height and width of the image.

    Returns:
        Probabilities in [0, 1], B×H×W.
    """
    row, column, width = parameters.unbind(1)
    rows, columns = (parameters.new_tensor(range(side)) for side in size)
    down = (rows - row[:, None]) ** 2
    across = (columns - column[:, None]) ** 2
    # A width that underflows leaves the pixel at the centre, not 0 divided by 0.
    scale = (2 * width**2).clamp_min(1e-9)
    return torch.exp(-(down[:, :, None] + across[:, None, :]) / scale[:, None, None])


def draw_rbf(count: int, size: tuple[int, int], like: Tensor) -> Tensor:
    """Draw parameters of RBFs: centres uniform over the image, σ on (0, 2·max(H, W)].

    Section 3.5 of the paper. Drawn from torch's global generator.

    Args:
        count: How many, B.
        size: Height and width of the image.
        like: Its device and precision are those of the result.

    Returns:
        Row, column and width in pixels, B×3.
    """
    uniform = torch.rand(count, 3, device=like.device, dtype=like.dtype)
    uniform[:, 2] = 1 - uniform[:, 2]  # never 0
    return uniform * uniform.new_tensor([*size, 2 * max(size)])


def draw_relaxed(probabilities: Tensor, temperature: float) -> Tensor:
    """Draw almost binary masks through which gradients reach the probabilities.

    sigmoid((logit(p) + logistic noise) / temperature) (Maddison, Mnih and Teh 2017; Jang, Gu and
    Poole 2017); probabilities of 0 and 1 are taken as the nearest that have a logit. Drawn from
    torch's global generator.

    Args:
        probabilities: In [0, 1], of any shape.
        temperature: Above 0; the lower, the nearer masks are to 0 and 1.

    Returns:
        Masks in [0, 1], of the same shape.
    """
    # Not validated: a training that diverges is to end as one, by its loss.
    drawn: Tensor = RelaxedBernoulli(
        probabilities.new_tensor(temperature), probs=probabilities, validate_args=False
    ).rsample()
    return drawn


def measure_size(masks: Tensor) -> Tensor:
    """Measure how much masks keep: the mean of (m + 5e-4)^0.3, which is close to ‖m‖₀ over H·W.

    As in the published code, where the power favours values near 0 and 1.

    Args:
        masks: In [0, 1], B×H×W.
    """
    return ((masks + 5e-4) ** 0.3).mean()


def measure_roughness(masks: Tensor) -> Tensor:
    """Measure how neighbours differ: half of Σ(m_ij − m_i+1,j)² + Σ(m_ij − m_i,j+1)² an image.

    As in the published code a border is added, 0.3·Σm² over the outermost rows and columns, as if
    the image were surrounded by zeros. For one weight to serve images of all sizes, sums are scaled
    to the number of pixels of a 32×32 image.

    Args:
        masks: In [0, 1], B×H×W, H and W at least 2.

    Returns:
        The mean over the images.
    """
    inner = masks.diff(dim=1).square().sum() + masks.diff(dim=2).square().sum()
    edges = masks[:, [0, -1]].square().sum() + masks[:, :, [0, -1]].square().sum()
    scale = SIDE**2 / masks[0].numel()
    return (inner + BORDER * edges) / 2 * scale / len(masks)
