"""The selector: which part of an image a network's answer rests on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from prunebench.cams.amortized.options import Masks, PredictorRecipe, SelectorRecipe
from prunebench.cams.amortized.predictor import Predictor
from prunebench.plugins.context import Context, Preparation
from prunebench.plugins.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.cams.amortized.selector_training import SelectorTraining


class Selector(Preparation):
    """A decoder on the network's own maps, trained to find the part that decides.

    Minimises KL(f(x) ‖ q(x⊙m)) + λ1·size(m) + λ2·smoothness(m), q the predictor and m drawn by the
    decoder's probabilities (Ganjdanesh, Gao and Huang 2022, equation 8). The validation accuracy of
    its learning curve is that of the predictor on images of which the selector keeps a part.
    """

    name: ClassVar[str] = "selector"
    key_name: ClassVar[str] = "prunebench.cams.amortized.selector:Selector"
    random: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    masks: Masks = Field(description="how a pixel's probability depends on its position")
    predictor: PredictorRecipe
    training: SelectorRecipe
    size: float = Field(0.2, ge=0, description="λ1, what a pixel costs")
    smoothness: float = Field(0.001, ge=0, description="λ2, what differing neighbours cost")
    temperature: float = Field(0.1, gt=0, description="of the relaxed masks")

    def needs(self) -> tuple[Preparation, ...]:
        """Ask for the predictor."""
        return (Predictor(masks=self.masks, training=self.predictor),)

    def compute(self, network: nn.Module, context: Context) -> dict[str, Tensor]:
        """Train the decoder and return its state dict, for ``load_decoder``."""
        selection = self.build_untrained(network, context)

        def losses(module: nn.Module, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return selection.compute_losses(inputs, self.size, self.smoothness, self.temperature)

        context.train(selection, self.training, Objective(loss=losses))
        state = selection.decoder.state_dict()
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def build_untrained(self, network: nn.Module, context: Context) -> SelectorTraining:
        """Build the selector before its training: random weights in its decoder alone."""
        import torch

        from prunebench.cams.amortized.decoder import Decoder
        from prunebench.cams.amortized.encoder_maps import find_stages, read_stages
        from prunebench.cams.amortized.selector_training import SelectorTraining
        from prunebench.networks.network import make_masks_permanent
        from prunebench.seeding import seeded

        make_masks_permanent(network)
        network.eval().requires_grad_(False)
        predictor = copy.deepcopy(network)
        predictor.load_state_dict(context.prepared[Predictor.name])
        stages = find_stages(network, context.example)
        with torch.no_grad():
            _, features = read_stages(network, context.example, stages)
        with seeded(context.seed, "decoder"):
            decoder = Decoder([maps.shape[1] for maps in features], context.classes, self.masks)
        return SelectorTraining(network, stages, decoder.to(context.example), predictor)
