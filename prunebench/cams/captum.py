"""Attribution methods of captum, as ``captum/NAME``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator, model_validator

from prunebench.cams.cam import Cam, Trace
from prunebench.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

PARAMETERS: dict[str, tuple[str, ...]] = {
    "saliency": (),
    "input-x-gradient": (),
    "integrated-gradients": ("steps",),
    "smooth-grad": ("samples", "noise"),
    "deep-lift": (),
    "lrp": ("epsilon",),
    "guided-backprop": (),
    "deconvolution": (),
    "occlusion": ("window",),
}
"""The methods, and which parameters each has."""


class Captum(Cam):
    """An attribution method of captum: how much each pixel contributes to the class's logit."""

    name: str = Field(description="the method, as in captum/integrated-gradients")
    steps: int = Field(
        50, ge=1, description="integrated-gradients: points between mean colour and image"
    )
    samples: int = Field(50, ge=1, description="smooth-grad: noisy copies of each image")
    noise: float = Field(
        0.15, gt=0, description="smooth-grad: deviation of the noise, over the image's range"
    )
    epsilon: float = Field(1e-9, gt=0, description="lrp: relevance absorbed, in units of a layer")
    window: int | None = Field(
        None, ge=1, description="occlusion: side of the square; by default an eighth of the image"
    )

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in PARAMETERS:
            raise RequestError(
                f"there is no method 'captum/{name}'; {did_you_mean(name, PARAMETERS)}"
            )
        if find_spec("captum") is None:
            raise RequestError(
                f"captum/{name} needs the package captum: pip install 'prunebench[captum]'"
            )
        return name

    @model_validator(mode="after")
    def _has_these_parameters(self) -> Self:
        own = PARAMETERS[self.name]
        for given in sorted(self.model_fields_set - {"name", *own}):
            raise RequestError(
                f"captum/{self.name} has no parameter {given!r}; it has {', '.join(own) or 'none'}"
            )
        return self

    def __call__(self, trace: Trace) -> Tensor:
        """Return attributions of pixels, B×H×W, summed over colour channels.

        Raises:
            RequestError: The method is not defined for this network.
        """
        from prunebench.cams import captum_attributions

        parameters = {name: getattr(self, name) for name in PARAMETERS[self.name]}
        return captum_attributions.attribute(self.name, trace, **parameters)
