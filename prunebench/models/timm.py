"""Any network of timm, as ``timm/NAME``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationInfo, field_validator

from prunebench.errors import RequestError, did_you_mean
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.data import Normalisation
    from prunebench.networks.layout import Layout


class Timm(Model):
    """A classification network of timm, with published weights if asked for."""

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

    @field_validator("pretrained_weights")
    @classmethod
    def _is_published(cls, weights: str | None, info: ValidationInfo) -> str | None:
        if weights is None or "name" not in info.data:
            return weights
        from timm.models import get_pretrained_cfg, list_pretrained

        name = info.data["name"]
        tags = [full.partition(".")[2] for full in list_pretrained(f"{name}.*")]
        config = get_pretrained_cfg(name)
        # The default may be other weights in another version of timm.
        chosen = str(config.tag) if weights == "DEFAULT" and config else weights
        if chosen not in tags:
            raise RequestError(
                f"timm/{name} has no weights {weights!r}; there is: {', '.join(tags) or 'none'}"
            )
        if info.data.get("weights") is not None:
            raise RequestError(
                f"timm/{name} is given both weights (a file) and pretrained_weights; choose one"
            )
        return chosen

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

    def target_layer(self) -> str:
        """Name the last maps before they are pooled, or the last block's tokens."""
        return self._explained()[0]

    def layout(self) -> Layout:
        """Return tokens for vision transformers and mixers, channels last for Swin, else maps."""
        return self._explained()[1]

    def _explained(self) -> tuple[str, Layout]:
        from prunebench.models.networks import timm as networks

        found = networks.find_target_layer(self.name)
        if found is None:
            raise RequestError(
                f"timm/{self.name} has no default target layer, because it ends neither in maps "
                "nor in blocks of tokens; name one"
            )
        return found

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
        if self.pretrained_weights is None:
            return None
        from timm.models import get_pretrained_cfg

        from prunebench.data import Normalisation

        config: Any = get_pretrained_cfg(f"{self.name}.{self.pretrained_weights}")
        return Normalisation(tuple(config.mean), tuple(config.std))

    def trained(self) -> bool:
        """Tell whether weights are given, be it timm's or a file."""
        return self.pretrained_weights is not None or super().trained()

    def pretrained(self) -> dict[str, Tensor] | None:
        """Download the published weights, once.

        Raises:
            RequestError: They cannot be downloaded.
        """
        from prunebench.models.networks import timm as networks

        if self.pretrained_weights is None:
            return None
        try:
            return networks.load_published_weights(self.name, self.pretrained_weights)
        except Exception as error:  # whatever the hub's client raises without a network
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"timm/{self.name}: the weights {self.pretrained_weights} cannot be downloaded "
                f"({reason})"
            ) from error
