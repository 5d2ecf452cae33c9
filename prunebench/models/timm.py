"""Any network of timm, as ``timm/NAME``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from prunebench.errors import RequestError, did_you_mean
from prunebench.models.library_model import LibraryModel, NetworkLibrary

if TYPE_CHECKING:
    from torch import nn


class Timm(LibraryModel):
    """A classification network of timm, with published weights if asked for."""

    library: ClassVar[str] = "timm"
    download_errors: ClassVar[tuple[type[Exception], ...]] = (Exception,)  # of the hub's client

    name: str = Field(description="timm's name without a tag, as in timm/vit_tiny_patch16_224")
    pretrained_weights: str | None = Field(
        None, description="tag of timm's weights to start from, or DEFAULT for those it prefers"
    )

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if find_spec("timm") is None:
            raise RequestError(
                f"timm/{name} needs the package timm: pip install 'prunebench[timm]'"
            )
        import timm

        plain, _, tag = name.partition(".")
        known = timm.list_models()
        if plain not in known:
            raise RequestError(f"timm has no model {plain!r}; {did_you_mean(plain, known)}")
        if tag:
            raise RequestError(
                f"timm/{name} names weights; write timm/{plain} and pretrained_weights: {tag}"
            )
        return name

    @classmethod
    def networks(cls) -> NetworkLibrary:
        """Import what asks timm."""
        from prunebench.models.networks import timm

        return timm

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network."""
        import torch

        from prunebench.models.networks import timm as networks

        wanted = networks.find_input_size(self.name, self.pretrained_weights)
        if self.pretrained_weights and networks.has_fixed_size(self.name) and size != wanted:
            raise RequestError(
                f"timm/{self.name}: the weights {self.pretrained_weights} are for images of "
                f"{wanted[0]}×{wanted[1]}, found {size[0]}×{size[1]}"
            )
        try:
            network = networks.build(self.name, classes, channels, size)
            with torch.no_grad():
                network.eval()(torch.zeros(1, channels, *size))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"timm/{self.name} cannot take images of {size[0]}×{size[1]}: {reason}"
            ) from error
        return network.train()
