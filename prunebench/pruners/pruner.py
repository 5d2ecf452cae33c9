"""The contract of a compression method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from prunebench.plugins.base import Plugin
from prunebench.plugins.context import Context, Preparation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from prunebench.networks import Network
    from prunebench.networks.factory import Code

Scope = Literal["global", "layerwise", "erk", "sensitivity"]
"""How a level is spread over the layers: see ``distribution.py``."""

Target = Literal["params", "channels", "macs"]
"""What a level is a fraction of."""


class Pruner(Plugin):
    """Base class of compression methods."""

    method: ClassVar[str] = "compress"

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "continuous"
    """What a level means: any fraction in [0, 1); round k, made from the recovered round k-1;
    or nothing (one network)."""

    counts: ClassVar[Target | None] = None
    """What a level is a fraction of, where the method leaves no choice and zeros no weights; else
    its parameter ``target`` tells."""

    control: ClassVar[bool] = False
    """Whether it removes nothing, and so shows what the suite's recovery does without pruning: what
    other methods are held against. A suite always has one."""

    trains: ClassVar[bool] = False
    """Whether ``compress`` itself trains, which one compression may do once."""

    reads_explanations: ClassVar[bool] = False
    """Whether it chooses by explanations what it removes: the board says so, since explanations
    are what networks are judged by."""

    from_scratch: ClassVar[bool] = False
    """Whether it trains a network from new random weights: a control, of the role ``small``."""

    levels_parameter: ClassVar[str] = ""
    """The parameter that lists the levels it is measured at, whatever the suite's are; by default
    the suite's hold. It changes no network, and has no place in ``changed_parameters``."""

    def own_levels(self) -> tuple[float, ...]:
        """Return the levels it is measured at whatever the suite's are; none by default."""
        return getattr(self, self.levels_parameter) if self.levels_parameter else ()

    def counts_channels(self) -> bool:
        """Tell whether a level is a fraction of what goes with channels, else one of weights.

        A suite may give each of the two kinds levels of its own.
        """
        return (self.counts or getattr(self, "target", None)) is not None

    def prepare(self) -> tuple[Preparation, ...]:
        """List what to compute once, before any level."""
        return ()

    def code(self) -> tuple[Code, ...]:
        """List the Python code by which its networks are built, where that is no model plugin.

        A network out of a store is built by code only where this names it.
        """
        return ()

    def round_count(self) -> int:
        """Return how many rounds there are, for methods with rounds."""
        return 0

    def level_of_round(self, k: int) -> float:
        """Return the fraction removed after round k, for methods with rounds."""
        raise NotImplementedError

    def check(self, network: nn.Module, context: Context) -> None:
        """Look for what is wrong with the request before anything is computed.

        Args:
            network: A copy of the untrained baseline.
            context: As for ``compress``, without preparations.

        Raises:
            RequestError: Something is, such as weights that do not fit.
        """

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module | Network:
        """Compress a network.

        Args:
            network: A copy of the baseline (or of the recovered last round); it may be changed.
            level: Fraction in [0, 1) to remove.
            context: What else may be used.

        Returns:
            The compressed network: the module that came in, with masks of torch.nn.utils.prune or
            with channels removed, or a ``Network`` of another architecture.
        """
        raise NotImplementedError

    def pictures(self, network: Network, context: Context) -> Mapping[str, Tensor]:
        """Draw pictures that show what was done, to be kept with the record.

        Args:
            network: The compressed network.
            context: As for ``compress``.

        Returns:
            By name, RGB pictures, H×W×3, of 8-bit numbers; small ones, since every record of the
            method holds them. None by default.
        """
        return {}

    def notes(self, network: Network, context: Context) -> Iterable[str]:
        """Tell what who reads the row should know of this work, such as that little was done.

        Args:
            network: The compressed network.
            context: As for ``compress``.

        Returns:
            Lines of plain text, shown with the row. None by default.
        """
        return ()
