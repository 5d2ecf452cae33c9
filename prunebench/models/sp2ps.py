"""The networks of the Sp2PS paper, one for each of its data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from prunebench.data import Normalisation


class _Sp2ps(Model):
    minimum_map: ClassVar[int] = 2

    stages: ClassVar[tuple[tuple[int, ...], ...]]
    """Output channels of the convolutions; a max-pool follows each stage."""

    def build(self, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
        """Build the untrained network, for colour images."""
        from prunebench.models.networks.sp2ps import Sp2psNetwork

        if channels != 3:
            raise RequestError(
                f"the Sp2PS networks need colour images (3 channels), found {channels}"
            )
        try:
            return Sp2psNetwork(self.stages, classes, size)
        except ValueError as error:
            raise RequestError(f"{error}; the network needs larger ones") from None

    def target_layer(self) -> str:
        """Name the last stage, before the last pool: 2×2 at the data set's image size."""
        return f"stages.{len(self.stages) - 1}"

    def recipe(self) -> Recipe:
        """Return 150 epochs of Adam, a tenth of the rate after 80 and a hundredth after 120."""
        return Recipe(epochs=150, optimizer="adam", lr=1e-3, batch_size=200, milestones=(80, 120))

    def normalisation(self) -> Normalisation:
        """Return a normalisation to pixels in [-1, 1]."""
        from prunebench.data import Normalisation

        return Normalisation((0.5,) * 3, (0.5,) * 3)


class Sp2psCifar10(_Sp2ps):
    """Seven convolutions and one linear layer, for 32×32 images."""

    stages = ((128, 128), (256, 256), (512, 512), (1024,))


class Sp2psStl10(_Sp2ps):
    """Six convolutions and one linear layer, for 96×96 images."""

    stages = ((32,), (64,), (128,), (128,), (256, 256))
