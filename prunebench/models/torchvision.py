"""Any classification network of torchvision, as ``torchvision/NAME``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, ValidationInfo, field_validator

from prunebench.errors import RequestError, did_you_mean
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.data import Normalisation
    from prunebench.networks.layout import Layout


class Torchvision(Model):
    """A classification network of torchvision, with its published weights if asked for."""

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

    @field_validator("pretrained_weights")
    @classmethod
    def _is_published(cls, weights: str | None, info: ValidationInfo) -> str | None:
        from torchvision.models import get_model_weights

        if weights is None or "name" not in info.data:
            return weights
        published = get_model_weights(info.data["name"]).__members__
        if weights not in published:
            raise RequestError(
                f"torchvision/{info.data['name']} has no weights {weights!r}; "
                f"there is: {', '.join(published)}"
            )
        if info.data.get("weights") is not None:
            raise RequestError(
                f"torchvision/{info.data['name']} is given both weights (a file) and "
                "pretrained_weights; choose one"
            )
        # DEFAULT may mean other weights in another version of torchvision.
        name: str = published[weights].name
        return name

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

    def target_layer(self) -> str:
        """Name the last maps before they are pooled, or a vision transformer's last tokens."""
        from prunebench.models.networks import torchvision as networks

        return networks.find_target_layer(self.name)[0]

    def layout(self) -> Layout:
        """Return tokens for a vision transformer, maps elsewhere."""
        from prunebench.models.networks import torchvision as networks

        return networks.find_target_layer(self.name)[1]

    def recipe(self) -> Recipe:
        """Return 90 epochs of SGD, a tenth of the rate after every 30."""
        return Recipe(
            epochs=90,
            lr=0.01,
            momentum=0.9,
            weight_decay=1e-4,
            batch_size=128,
            milestones=(30, 60),
            augment="crop-flip",
        )

    def normalisation(self) -> Normalisation | None:
        """Return the normalisation of the published weights, where they are asked for."""
        from torchvision.models import get_model_weights

        from prunebench.data import Normalisation

        if self.pretrained_weights is None:
            return None
        transforms = get_model_weights(self.name)[self.pretrained_weights].transforms()
        return Normalisation(tuple(transforms.mean), tuple(transforms.std))

    def trained(self) -> bool:
        """Tell whether weights are given, be it torchvision's or a file."""
        return self.pretrained_weights is not None or super().trained()

    def pretrained(self) -> dict[str, Tensor] | None:
        """Download the published weights, once.

        Raises:
            RequestError: They cannot be downloaded.
        """
        from prunebench.models.networks import torchvision as networks

        if self.pretrained_weights is None:
            return None
        try:
            return networks.load_published_weights(self.name, self.pretrained_weights)
        except (OSError, RuntimeError) as error:
            raise RequestError(
                f"torchvision/{self.name}: the weights {self.pretrained_weights} cannot be "
                f"downloaded ({error})"
            ) from error
