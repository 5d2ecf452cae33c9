"""The contract of an explanation method: a trace in, a map out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from prunebench.plugins.base import Plugin
from prunebench.plugins.context import Preparation, Prepared

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.networks.layout import Layout


def _refuse(*_: Any) -> Any:
    raise NotImplementedError("this trace was made by hand, without a network behind it")


@dataclass(frozen=True)
class Trace:
    """One pass of a batch through a network, as seen at the target layer.

    All methods of a batch read the same trace; what only some of them need (gradients, more
    passes) is computed when it is asked for.

    Attributes:
        activations: Output of the target layer as maps, B×C×h×w.
        logits: Outputs of the network, B×K.
        classes: The class explained, B.
        images: The normalised inputs, B×channels×H×W.
        differentiate: Computes ``gradients``, going back no further than the target layer.
        resume: Runs only what depends on the target layer: activations b×C×h×w and the indices
            (b) of the images in this batch they belong to, in; logits b×K, out. No gradient.
        ablate: Logits b×K of the images at indices (b) once one channel each (b) of the target
            layer's output is zero everywhere, in tokens without a position too. No gradient.
        predict: Runs the whole network: images b×channels×H×W in, logits b×K out. No gradient.
        affine: Whether the logits are known to be an affine function of the activations.
        seeds: A seed of its own for each image of this network, for methods that draw random
            numbers.
        module: A twin of the network, in evaluation mode, on the same weights, for methods that
            look beyond the target layer. They leave it as they found it.
        target_layer: Name of the layer.
        layout: How the layer's output is read as maps.
        prepared: For methods that learn: what each of their preparations computed of this network.
        answers: Of a network in half precision, its own logits, B×K; all else is computed in single
            precision.
    """

    activations: Tensor
    logits: Tensor
    classes: Tensor
    images: Tensor
    differentiate: Callable[[], Tensor] = _refuse
    resume: Callable[[Tensor, Tensor], Tensor] = _refuse
    ablate: Callable[[Tensor, Tensor], Tensor] = _refuse
    predict: Callable[[Tensor], Tensor] = _refuse
    affine: bool = False
    seeds: tuple[int, ...] = ()
    module: nn.Module | None = None
    target_layer: str = ""
    layout: Layout = "maps"
    prepared: Prepared = field(default_factory=dict)
    answers: Tensor | None = None

    @cached_property
    def gradients(self) -> Tensor:
        """Gradient of each image's class logit by the activations, B×C×h×w."""
        return self.differentiate()

    @property
    def scores(self) -> Tensor:
        """The explained class's logit, B."""
        return self.logits.gather(1, self.classes[:, None])[:, 0]


class Explanation(NamedTuple):
    """Raw maps, and numbers that describe each of them.

    Attributes:
        maps: B×h×w at the target layer's resolution or B×H×W at the images'.
        numbers: By name, one number an image (B), such as the centre of what is shown.
    """

    maps: Tensor
    numbers: Mapping[str, Tensor]


class Cam(Plugin):
    """Base class of explanation methods. A plain function of a trace serves as well."""

    learns: ClassVar[bool] = False
    """Whether it is trained, so that its maps differ from machine to machine as a training does."""

    def prepare(self) -> tuple[Preparation, ...]:
        """Ask for what is to be computed of each network, once, before its images are explained.

        Their results are in ``trace.prepared``. They are computed on the training split, and are
        steps of the experiment tree like any others. Where there are images only, as in
        ``prunebench.explain``, they are computed on these.
        """
        return ()

    def check(self, network: nn.Module, example: Tensor) -> None:
        """Look whether the method can explain a network, before anything is computed.

        Args:
            network: A copy of the untrained baseline.
            example: A normalised input, 1×C×H×W.

        Raises:
            RequestError: It cannot.
        """

    def __call__(self, trace: Trace) -> Tensor | Explanation:
        """Return raw maps, B×h×w at the target layer's resolution or B×H×W at the images'.

        ReLU, scaling and resizing are done for all methods alike.
        """
        raise NotImplementedError
