"""The contract of an explanation method: a trace in, a map out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunebench.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Trace:
    """What one pass of a batch through a network leaves at the target layer.

    Attributes:
        activations: Output of the target layer, B×C×h×w.
        gradients: Gradient of each image's class logit by the activations, B×C×h×w.
        logits: Outputs of the network, B×K.
        classes: The class explained, B.
        images: The normalised inputs, B×channels×H×W.
        resume: Runs only what follows the target layer: activations b×C×h×w and the indices (b)
            of the images in this batch they belong to, in; logits b×K, out. No gradient.
        seed: A seed of this network's own, for methods that draw random numbers.
    """

    activations: Tensor
    gradients: Tensor
    logits: Tensor
    classes: Tensor
    images: Tensor
    resume: Callable[[Tensor, Tensor], Tensor]
    seed: int = 0

    @property
    def scores(self) -> Tensor:
        """The explained class's logit, B."""
        return self.logits.gather(1, self.classes[:, None])[:, 0]


class Cam(Plugin):
    """Base class of explanation methods. A plain function of a trace serves as well."""

    def __call__(self, trace: Trace) -> Tensor:
        """Returns raw maps B×h×w; ReLU, scaling and resizing are done for all methods alike."""
        raise NotImplementedError
