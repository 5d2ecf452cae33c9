"""The divergence of a predictor that sees a part of an image from the network that sees it all."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def mask_images(images: Tensor, masks: Tensor) -> Tensor:
    """Keep a part of each image; the rest becomes 0, after normalisation the mean colour.

    Args:
        images: Normalised, B×C×H×W.
        masks: In [0, 1], B×H×W.
    """
    return images * masks[:, None]


def measure_divergence(wanted: Tensor, predicted: Tensor) -> Tensor:
    """Return KL(f(x) ‖ q(x⊙m)) in nats, the mean over the images.

    Args:
        wanted: Logits f(x) of the network, B×K.
        predicted: Logits q(x⊙m) of the predictor, B×K.
    """
    return F.kl_div(
        predicted.log_softmax(1), wanted.log_softmax(1), reduction="batchmean", log_target=True
    )
