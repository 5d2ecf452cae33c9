"""The predictor: what a network would answer if it saw only a part of an image."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.cams.amortized.options import Masks, PredictorRecipe
from prunebench.errors import RequestError
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn


class Predictor(Preparation):
    """A copy q of the network f, trained to give f(x) for x of which a random part is kept.

    Minimises KL(f(x) ‖ q(x⊙m')), m' a random RBF mask (Ganjdanesh, Gao and Huang 2022, equation 6)
    or each pixel with probability ½ (REAL-X: Jethani, Sudarshan, Aphinyanaphongs and Ranganath
    2021). The network itself never learnt to see parts of images.
    """

    name: ClassVar[str] = "predictor"
    key_name: ClassVar[str] = "prunebench.cams.amortized.predictor:Predictor"
    random: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    masks: Masks = Field(description="which masks it learns to see through")
    training: PredictorRecipe

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Train the predictor and return its state dict.

        Raises:
            RequestError: The network has no maps, or cannot be trained.
        """
        import torch

        from prunebench.cams.amortized.divergence import mask_images, measure_divergence
        from prunebench.cams.amortized.encoder_maps import require_maps
        from prunebench.networks.network import make_masks_permanent
        from prunebench.networks.quantised.layers import find_int8_layers

        require_maps(network, context.example)
        if find_int8_layers(network):
            raise RequestError(
                "amortized explainers train a copy of the network, and this one's weights are "
                "8-bit codes, which cannot be trained"
            )
        make_masks_permanent(network)
        classifier = copy.deepcopy(network).eval().requires_grad_(False)
        network.requires_grad_(True)

        def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
            with torch.no_grad():
                wanted = classifier(inputs)
                masks = draw_masks(self.masks, inputs)
            return measure_divergence(wanted, module(mask_images(inputs, masks)))

        context.train(network, self.training, Objective(loss=loss))
        return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def draw_masks(masks: Masks, images: Tensor) -> Tensor:
    """Draw masks of 0 and 1 from torch's global generator.

    Args:
        masks: ``rbf``, with random centres and widths, or ``independent``, with probability ½.
        images: B×C×H×W.

    Returns:
        One an image, B×H×W.
    """
    import torch

    from prunebench.cams.amortized.masks import compute_rbf, draw_rbf

    count, _, *size = images.shape
    if masks == "independent":
        return torch.bernoulli(images.new_full((count, *size), 0.5))
    shape = (size[0], size[1])
    return torch.bernoulli(compute_rbf(draw_rbf(count, shape, images), shape))
