"""Amortized explainers: the part of an image on which the network's answer rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from prunebench.cams.amortized.options import (
    PREDICTOR,
    SELECTOR,
    Masks,
    PredictorRecipe,
    SelectorRecipe,
    list_changes,
)
from prunebench.cams.amortized.selector import Selector
from prunebench.cams.cam import Cam, Explanation, Trace
from prunebench.errors import RequestError
from prunebench.plugins.context import Preparation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


class AmortizedExplainer(Cam):
    """A selector, trained once for a network, that gives each image's mask in one pass."""

    learns: ClassVar[bool] = True
    masks: ClassVar[Masks]

    predictor: PredictorRecipe = Field(
        PREDICTOR,
        description="how the predictor is trained; what is left out stays as here",
    )
    selector: SelectorRecipe = Field(
        SELECTOR,
        description="how the selector's decoder is trained; what is left out stays as here",
    )
    size: float = Field(
        0.2,
        ge=0,
        description="λ1, what a pixel costs; 1 to 2 where masks keep everything at the published",
    )
    smoothness: float = Field(0.001, ge=0, description="λ2, what differing neighbours cost")
    temperature: float = Field(0.1, gt=0, description="of the relaxed masks in training")

    def changed_parameters(self) -> dict[str, Any]:
        """Return these as for all plugins; of a training, only what differs from the default."""
        found = super().changed_parameters()
        for name, default in (("predictor", PREDICTOR), ("selector", SELECTOR)):
            if name in found:
                found[name] = list_changes(getattr(self, name), default)
        return found

    def check(self, network: nn.Module, example: Tensor) -> None:
        """Refuse networks without maps that a decoder could read."""
        from prunebench.cams.amortized.encoder_maps import require_maps

        require_maps(network, example)

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for the selector, which needs the predictor."""
        return (self._make_selector(),)

    def _make_selector(self) -> Selector:
        return Selector(
            masks=self.masks,
            predictor=self.predictor,
            training=self.selector,
            size=self.size,
            smoothness=self.smoothness,
            temperature=self.temperature,
        )

    def __call__(self, trace: Trace) -> Explanation:
        """Explain the class of each image by the probabilities of its pixels.

        The target layer plays no part: the decoder reads the network's maps at all resolutions.

        Args:
            trace: The images, B×C×H×W, the classes, the network, and what was learnt of it.

        Returns:
            Probabilities in [0, 1], B×H×W; of an RBF also ``centre_row``, ``centre_column`` and
            ``width``, in pixels.

        Raises:
            RequestError: Nothing was learnt of this network.
            ValueError: The trace was made by hand, without a network.
        """
        import torch

        from prunebench.cams.amortized.decoder import load_decoder
        from prunebench.cams.amortized.encoder_maps import find_stages, read_stages

        if trace.module is None:
            raise ValueError("an explainer that reads the network got a trace without one")
        decoder = load_decoder(self._find_learnt(trace), self.masks).to(trace.images)
        size = (trace.images.shape[2], trace.images.shape[3])
        stages = find_stages(trace.module, trace.images)
        with torch.no_grad():
            _, features = read_stages(trace.module, trace.images, stages)
            found = decoder(features, trace.classes, size)
            return Explanation(decoder.to_probabilities(found, size), decoder.head.describe(found))

    def _find_learnt(self, trace: Trace) -> Mapping[str, Tensor]:
        selector = self._make_selector()
        if selector not in trace.prepared:
            raise RequestError(
                f"{type(self).__name__} explains by a selector that was trained for the network, "
                "and the trace has none with these parameters: compute what `prepare()` names "
                "first, as a suite, `prunebench.explain` and `prunebench.compare` do"
            )
        return trace.prepared[selector]


class AemRbf(AmortizedExplainer):
    """The RBF explainer of interpretation-steered pruning (Ganjdanesh, Gao and Huang 2022).

    An image's mask is one centre and one width: what the answer rests on is near one position.
    """

    masks: ClassVar[Masks] = "rbf"


class AemRealx(AmortizedExplainer):
    """REAL-X (Jethani, Sudarshan, Aphinyanaphongs and Ranganath 2021) for networks on images.

    Each pixel has a probability of its own, and nothing asks for smooth masks.
    """

    masks: ClassVar[Masks] = "independent"

    smoothness: float = Field(0.0, ge=0, description="λ2, what differing neighbours cost")
