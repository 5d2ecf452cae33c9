"""Any classification network of torchvision, as ``torchvision/NAME``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from prunebench.errors import RequestError, did_you_mean
from prunebench.models.library_model import LibraryModel, NetworkLibrary

if TYPE_CHECKING:
    from torch import nn


class Torchvision(LibraryModel):
    """A classification network of torchvision, with its published weights if asked for."""

    library: ClassVar[str] = "torchvision"

    name: str = Field(description="torchvision's name, as in torchvision/resnet18")
    pretrained_weights: str | None = Field(
        None, description="name of torchvision's weights to start from, or DEFAULT for its best"
    )

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        import torchvision

        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            raise RequestError(
                f"torchvision has no classification model {name!r}; {did_you_mean(name, known)}"
            )
        return name

    @classmethod
    def networks(cls) -> NetworkLibrary:
        """Import what asks torchvision."""
        from prunebench.models.networks import torchvision

        return torchvision

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network, for colour images."""
        from prunebench.models.networks import torchvision as networks

        if channels != 3:
            raise RequestError(
                f"torchvision/{self.name} needs colour images (3 channels), found {channels}"
            )
        if reason := networks.find_refusal(self.name, size):
            raise RequestError(
                f"torchvision/{self.name} cannot take images of {size[0]}×{size[1]}: {reason}"
            )
        return networks.build(self.name, classes, self.pretrained_weights, size)
