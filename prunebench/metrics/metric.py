"""The contract of a metric: it says what it reads, and is given that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from prunebench.plugin import Plugin

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from prunebench.network import Network

Reading = Literal[
    "network", "baseline", "predictions", "baseline_predictions", "maps", "baseline_maps"
]


class Evidence:
    """What a metric reads, loaded when it is asked for.

    Args:
        load: For each reading that the metric declares, a function that loads it. ``labels``
            comes with predictions, ``classes`` and ``explained`` with maps.
        device: Where tensors are.
        seed: A seed of this step's own.
        progress: ``progress(fraction, text)``.
    """

    def __init__(
        self,
        load: Mapping[str, Callable[[], Any]],
        device: torch.device,
        seed: int = 0,
        progress: Callable[[float, str], None] = lambda fraction, text: None,
    ) -> None:
        self._load = dict(load)
        self._loaded: dict[str, Any] = {}
        self.device = device
        self.seed = seed
        self.progress = progress

    def _read(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in self._load:
                raise AttributeError(f"the metric reads {name!r} but does not declare it")
            self._loaded[name] = self._load[name]()
        return self._loaded[name]

    @property
    def network(self) -> Network:
        """The compressed network, in evaluation mode, without hooks."""
        found: Network = self._read("network")
        return found

    @property
    def baseline(self) -> Network:
        """The uncompressed network."""
        found: Network = self._read("baseline")
        return found

    @property
    def predictions(self) -> Tensor:
        """Logits of the compressed network on all test images, N×K."""
        found: Tensor = self._read("predictions")
        return found

    @property
    def baseline_predictions(self) -> Tensor:
        """Logits of the baseline on all test images, N×K."""
        found: Tensor = self._read("baseline_predictions")
        return found

    @property
    def labels(self) -> Tensor:
        """True classes of all test images, N."""
        found: Tensor = self._read("labels")
        return found

    @property
    def maps(self) -> Tensor:
        """Maps of the compressed network at input size, in [0, 1], M×H×W."""
        found: Tensor = self._read("maps")
        return found

    @property
    def baseline_maps(self) -> Tensor:
        """Maps of the baseline at input size, in [0, 1], M×H×W."""
        found: Tensor = self._read("baseline_maps")
        return found

    @property
    def classes(self) -> Tensor:
        """The class explained in each map, M."""
        found: Tensor = self._read("classes")
        return found

    @property
    def explained(self) -> Tensor:
        """Indices of the explained images in the test split, M."""
        found: Tensor = self._read("explained")
        return found


class Metric(Plugin):
    """Base class of metrics."""

    method: ClassVar[str] = "compute"

    reads: ClassVar[tuple[Reading, ...]] = ()
    """What it needs; a metric that reads maps is computed once for every explanation method."""

    carries: ClassVar[Literal["portable", "numeric", "hardware"]] = "numeric"
    """How far a value holds: everywhere; on the same device type and precision; or on the same
    hardware only (times), where the step also runs alone on its machine."""

    higher_is_better: ClassVar[bool | None] = None
    unit: ClassVar[str] = ""

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor]:
        """Computes the metric.

        Args:
            evidence: What the metric reads.

        Returns:
            Named values: one number, or one number an image (1-D tensor; NaN where undefined),
            of which the harness publishes mean, interval and count.
        """
        raise NotImplementedError
