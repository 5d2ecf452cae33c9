"""What models share whose networks and published weights come from a library."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import ValidationInfo, field_validator

from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from prunebench.data import Normalisation
    from prunebench.networks.layout import Layout


class NetworkLibrary(Protocol):
    """A module of ``models/networks`` that asks a library about its networks."""

    def list_weights(self, name: str) -> dict[str, str]:
        """List what may be asked for as weights, and the library's own name of each."""

    def load_published_weights(self, name: str, weights: str) -> dict[str, Tensor]:
        """Download (once) and read weights."""

    def find_normalisation(self, name: str, weights: str) -> Normalisation:
        """Find the normalisation that weights were trained with."""

    def find_target_layer(self, name: str) -> tuple[str, Layout] | None:
        """Find the layer explained by default and how its output is read; None if there is none."""


class LibraryModel(Model):
    """Base of models that are any network of a library, as ``LIBRARY/NAME``."""

    download_errors: ClassVar[tuple[type[Exception], ...]] = (OSError, RuntimeError)
    """What the library raises where weights cannot be downloaded."""

    library: ClassVar[str]
    """Its name in messages."""

    name: str
    pretrained_weights: str | None = None

    @classmethod
    def networks(cls) -> NetworkLibrary:
        """Import what asks the library."""
        raise NotImplementedError

    @field_validator("pretrained_weights")
    @classmethod
    def _is_published(cls, weights: str | None, info: ValidationInfo) -> str | None:
        if weights is None or "name" not in info.data:
            return weights
        label = f"{cls.library}/{info.data['name']}"
        published = cls.networks().list_weights(info.data["name"])
        if weights not in published:
            raise RequestError(
                f"{label} has no weights {weights!r}; there is: {', '.join(published) or 'none'}"
            )
        if info.data.get("weights") is not None:
            raise RequestError(
                f"{label} is given both weights (a file) and pretrained_weights; choose one"
            )
        # DEFAULT may mean other weights in another version of the library.
        return published[weights]

    def target_layer(self) -> str:
        """Name the last maps before they are pooled, or a transformer's last tokens."""
        return self._find_target_layer()[0]

    def layout(self) -> Layout:
        """Return tokens for vision transformers, channels last where maps are so, else maps."""
        return self._find_target_layer()[1]

    def _find_target_layer(self) -> tuple[str, Layout]:
        found = self.networks().find_target_layer(self.name)
        if found is None:
            raise RequestError(
                f"{self.library}/{self.name} has no default target layer, because it ends neither "
                "in maps nor in blocks of tokens; name one"
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
        return self.networks().find_normalisation(self.name, self.pretrained_weights)

    def trained(self) -> bool:
        """Tell whether weights are given, be it the library's or a file."""
        return self.pretrained_weights is not None or super().trained()

    def pretrained(self) -> dict[str, Tensor] | None:
        """Download the published weights, once.

        Raises:
            RequestError: They cannot be downloaded.
        """
        if self.pretrained_weights is None:
            return None
        try:
            return self.networks().load_published_weights(self.name, self.pretrained_weights)
        except self.download_errors as error:
            reason = str(error).partition("\n")[0]
            raise RequestError(
                f"{self.library}/{self.name}: the weights {self.pretrained_weights} cannot be "
                f"downloaded ({reason})"
            ) from error
