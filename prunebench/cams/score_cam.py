"""Score-CAM: channels weighted by the score of the image seen through each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunebench.cams.cam import Trace

if TYPE_CHECKING:
    from torch import Tensor

NUMBERS = {"cpu": 2**20, "cuda": 2**25}
"""How many numbers a batch of masked images may hold: little enough for its activations to stay
in a processor's cache, much enough to fill a GPU."""


def score_cam(trace: Trace) -> Tensor:
    """Explain by Score-CAM (Wang et al. 2020, algorithm 1, without the baseline image).

    Each channel, resized to the image and scaled to [0, 1], masks the image; the weights w are
    the softmax over the channels of the class's logits of the masked images; the map is
    Σ_k w_k A_k.

    Args:
        trace: Activations A of the target layer, B×C×h×w, the images and how to predict.

    Returns:
        Raw maps, B×h×w, before the ReLU.
    """
    import torch

    activations, images = trace.activations, trace.images
    # A channel that is the same everywhere hides the whole image, whichever image it is: one
    # pass on nothing serves them all.
    logits = trace.predict(torch.zeros_like(images[:1]))
    scores = logits[0, trace.classes][:, None].repeat(1, activations.shape[1])
    positions = activations.flatten(2)
    image, channel = (positions.amax(2) > positions.amin(2)).nonzero(as_tuple=True)
    count = max(1, NUMBERS.get(images.device.type, NUMBERS["cpu"]) // images[:1].numel())
    for start in range(0, len(image), count):
        i, k = image[start : start + count], channel[start : start + count]
        # Channels last is what convolutions read fastest.
        masked = images[i].contiguous(memory_format=torch.channels_last)
        masked *= _make_masks(activations[i, k], images)
        scores[i, k] = trace.predict(masked).gather(1, trace.classes[i, None])[:, 0]
    return torch.einsum("bk,bkij->bij", scores.softmax(1), activations)


def _make_masks(channels: Tensor, images: Tensor) -> Tensor:
    """Resize channels, n×h×w, to the images and scale each to [0, 1], n×1×H×W."""
    from torch.nn.functional import interpolate

    # Corners aligned and 1e-8 in the denominator, as in pytorch-grad-cam.
    masks = interpolate(channels[:, None], images.shape[2:], mode="bilinear", align_corners=True)
    masks -= masks.amin((2, 3), keepdim=True)
    masks /= masks.amax((2, 3), keepdim=True) + 1e-8
    return masks
