"""The trained half of a U-Net: from a network's maps at all resolutions to a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.cams.amortized.heads import PixelHead, RbfHead
from prunebench.cams.amortized.options import Masks

WIDTH = 32
GROUPS = 8


class Decoder(nn.Module):
    """Refines what the coarsest maps say by the finer ones, for the class that is explained.

    Ronneberger, Fischer and Brox 2015, with sums in place of concatenation: each resolution's maps
    pass a 1×1 convolution to a common width (``laterals``), and a 3×3 convolution once what comes
    from below is added. The class is added to the coarsest maps, as a vector.

    Args:
        channels: Of the encoder's maps, from the finest to the coarsest.
        classes: How many there are.
        masks: ``rbf`` or ``independent``.
        width: Channels within the decoder.

    Attributes:
        laterals: The 1×1 convolutions, one a resolution: all that depends on the encoder.
    """

    def __init__(
        self, channels: Sequence[int], classes: int, masks: Masks, width: int = WIDTH
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.embedding = nn.Embedding(classes, width)
        self.mixers = nn.ModuleList(_make_mixer(width) for _ in channels)
        self.head = RbfHead(width) if masks == "rbf" else PixelHead(width)

    def forward(self, features: Sequence[Tensor], classes: Tensor, size: tuple[int, int]) -> Tensor:
        """Return what describes the masks.

        Args:
            features: The encoder's maps, each B×c×h×w, from the finest to the coarsest.
            classes: The class explained in each image, B.
            size: Height and width of the images.

        Returns:
            For ``rbf`` the centre's row and column and the width, in pixels, B×3; for
            ``independent`` the logits of the pixels' probabilities, B×H×W.
        """
        pairs = zip(self.laterals, features, strict=True)
        return self.refine([lateral(maps) for lateral, maps in pairs], classes, size)

    def refine(self, levels: Sequence[Tensor], classes: Tensor, size: tuple[int, int]) -> Tensor:
        """Do all of ``forward`` but the lateral convolutions.

        Args:
            levels: What these gave, each B×width×h×w.
            classes: As for ``forward``.
            size: As for ``forward``.
        """
        *mixers, coarsest = self.mixers
        *finer, lowest = levels
        maps: Tensor = coarsest(lowest + self.embedding(classes)[:, :, None, None])
        for mixer, level in zip(reversed(mixers), reversed(finer), strict=True):
            maps = mixer(level + F.interpolate(maps, level.shape[-2:]))
        found: Tensor = self.head(maps, size)
        return found

    def to_probabilities(self, found: Tensor, size: tuple[int, int]) -> Tensor:
        """Return each pixel's probability to be kept, B×H×W.

        Args:
            found: What ``forward`` returned.
            size: Height and width of the images.
        """
        return self.head.to_probabilities(found, size)


def load_decoder(tensors: Mapping[str, Tensor], masks: Masks) -> Decoder:
    """Build a trained decoder again, in evaluation mode, on the tensors' device.

    Args:
        tensors: Its state, as ``Selector`` computes it.
        masks: ``rbf`` or ``independent``.
    """
    embedding = tensors["embedding.weight"]
    stages = sum(name.startswith("laterals.") and name.endswith(".weight") for name in tensors)
    channels = [tensors[f"laterals.{stage}.weight"].shape[1] for stage in range(stages)]
    with torch.device("meta"):  # draws no weights that would only be replaced
        decoder = Decoder(channels, embedding.shape[0], masks, embedding.shape[1])
    decoder.load_state_dict(tensors, assign=True)
    return decoder.eval().requires_grad_(False)


def _make_mixer(width: int) -> nn.Module:
    # Normalised by image: encoders differ in scale, and an image's mask is its own.
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(GROUPS, width), nn.ReLU()
    )
