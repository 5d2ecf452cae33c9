"""The selector in training: a network, the decoder on its maps, and the predictor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunebench.cams.amortized.decoder import Decoder
from prunebench.cams.amortized.divergence import mask_images, measure_divergence
from prunebench.cams.amortized.encoder_maps import read_stages
from prunebench.cams.amortized.masks import draw_relaxed, measure_roughness, measure_size


class SelectorTraining(nn.Module):
    """The selector in training: what the predictor says of the part it leaves of an image.

    Only the decoder is part of this module, so that nothing else is trained, kept in checkpoints
    or put into training mode.

    Args:
        network: The encoder, and the network that is explained; frozen, in evaluation mode.
        stages: Names of the layers that the decoder reads.
        decoder: What is trained.
        predictor: Frozen, in evaluation mode.
    """

    def __init__(
        self, network: nn.Module, stages: tuple[str, ...], decoder: Decoder, predictor: nn.Module
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.stages = stages
        self._frozen = (network, predictor)

    def predict_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the network's logits, and the pixels on which they rest.

        Args:
            images: Normalised images, B×C×H×W.

        Returns:
            Logits f(x), B×K, and for the class that is predicted each pixel's probability to be
            kept, B×H×W.
        """
        with torch.no_grad():
            logits, features = read_stages(self._frozen[0], images, self.stages)
        size = (images.shape[2], images.shape[3])
        found = self.decoder(features, logits.argmax(1), size)
        return logits, self.decoder.to_probabilities(found, size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the predictor's logits, B×K, of images whose probable pixels (p > ½) are kept."""
        _, probabilities = self.predict_probabilities(images)
        logits: Tensor = self._frozen[1](
            mask_images(images, (probabilities > 0.5).to(images.dtype))
        )
        return logits

    def compute_losses(
        self, images: Tensor, size: float, smoothness: float, temperature: float
    ) -> dict[str, Tensor]:
        """Compute the terms of equation 8 for one random mask an image.

        Args:
            images: Normalised images, B×C×H×W.
            size: λ1.
            smoothness: λ2.
            temperature: Of the relaxed masks.

        Returns:
            KL(f(x) ‖ q(x⊙m)), λ1·size(m) and λ2·roughness(m), means over the images.
        """
        wanted, probabilities = self.predict_probabilities(images)
        masks = draw_relaxed(probabilities, temperature)
        return {
            "divergence": measure_divergence(wanted, self._frozen[1](mask_images(images, masks))),
            "size": size * measure_size(masks),
            "smoothness": smoothness * measure_roughness(masks),
        }
