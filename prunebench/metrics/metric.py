"""The contract of a metric: it says what it reads, and is given that."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

from prunebench.errors import RequestError
from prunebench.metrics.scale import Scale
from prunebench.plugins.base import Plugin

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from prunebench.networks import Network

Reading = Literal[
    "network",
    "baseline",
    "predictions",
    "baseline_predictions",
    "maps",
    "baseline_maps",
    "images",
    "masks",
    "masked",
    "explainer",
]


class Explainer(Protocol):
    """The explanation method at work, on the network's target layer."""

    def __call__(
        self, images: Tensor, classes: Tensor, module: nn.Module | None = None, first: int = 0
    ) -> Tensor:
        """Explain images.

        Args:
            images: Normalised images, b×channels×H×W.
            classes: The class explained in each, b.
            module: A changed copy of the network to explain in its place.
            first: Which of the explained images the first one is: methods that draw random
                numbers draw the same for an image wherever it stands in a batch.

        Returns:
            Maps at input size in [0, 1], b×H×W.
        """


class Samples(NamedTuple):
    """Repeated measurements behind a value, i of one beside i of the other, such as milliseconds.

    Attributes:
        baseline: Of the baseline.
        network: Of the compressed network.
    """

    baseline: tuple[float, ...]
    network: tuple[float, ...]


class NotApplicable(Exception):
    """A metric means nothing here, such as overlap with a mask where there are no masks."""


class Evidence:
    """What a metric reads, loaded when it is asked for.

    Args:
        load: For each reading that the metric declares, a function that loads it. ``labels``
            comes with predictions, ``classes`` and ``explained`` with maps, images and masks.
            Tensors of all explained images are on the device; images are read in batches.
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
    def numbers(self) -> Mapping[str, Tensor]:
        """What the method tells of each map of the compressed network, by name, M each.

        Reading ``maps``; empty for methods that give maps only.
        """
        found: Mapping[str, Tensor] = self._read("numbers")
        return found

    @property
    def baseline_numbers(self) -> Mapping[str, Tensor]:
        """What the method tells of each map of the baseline; reading ``baseline_maps``."""
        found: Mapping[str, Tensor] = self._read("baseline_numbers")
        return found

    def images(self, batch_size: int = 64) -> Iterator[tuple[slice, Tensor]]:
        """Yield the explained images, normalised for the compressed network, batch by batch.

        Args:
            batch_size: Images a batch.

        Yields:
            Where the batch stands among the explained images, and b×channels×H×W.
        """
        found: Callable[[int], Iterator[tuple[slice, Tensor]]] = self._read("images")
        return found(batch_size)

    @property
    def masks(self) -> Tensor:
        """How far each pixel belongs to the object, in [0, 1], M×H×W.

        Raises:
            NotApplicable: The data set has neither masks nor boxes.
        """
        found: Tensor = self._read("masks")
        return found

    @property
    def masked_maps(self) -> Tensor:
        """Maps of the images after they were multiplied by their maps, in [0, 1], M×H×W.

        Reading ``masked``. Pixels outside the map are 0 after normalisation: the mean colour.
        """
        maps: Tensor = self._read("masked")[0]
        return maps

    @property
    def masked_predictions(self) -> Tensor:
        """Logits of the compressed network on the images multiplied by their maps, M×K.

        Reading ``masked``.
        """
        logits: Tensor = self._read("masked")[1]
        return logits

    @property
    def explain(self) -> Explainer:
        """The explanation method at work. Reading ``explainer``."""
        found: Explainer = self._read("explainer")
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
    """What it needs; see ``inputs.py`` for what is read once for every explanation method."""

    carries: ClassVar[Literal["portable", "numeric", "hardware"]] = "numeric"
    """How far a value holds: everywhere; on the same device type and precision; or on the same
    hardware only (times), where the step also runs alone on its machine."""

    unnamed_parameters: ClassVar[frozenset[str]] = frozenset()
    """Parameters that are not added to the names of its values, since the names say them already
    (``sam_jet``) or since they change only how well it is measured. Any other that is not at its
    default is added: two variants of a metric are two values."""

    told: ClassVar[frozenset[str]] = frozenset()
    """The old name of ``unnamed_parameters``, honoured until 0.3."""

    gives: ClassVar[Mapping[str, Scale]] = {}
    """What its values are, by name, or by a regular expression where several names have one form:
    ``{"ssim": Scale("preservation", (-1, 1))}``. Records are checked, compared and shown by that;
    a value that is not declared is not judged."""

    spelling: ClassVar[Mapping[str, str]] = {}
    """How words of its values' names are written in headings, such as ``{"ssim": "SSIM"}``."""

    higher_is_better: ClassVar[bool | None] = None
    unit: ClassVar[str] = ""

    @classmethod
    def own_values(cls) -> Mapping[str, Scale]:
        """Return what ``gives`` declares, but for what only a class of another package declared.

        A metric derived from one that ships may give values of other names.
        """
        home = cls.__module__.partition(".")[0]
        for base in cls.__mro__:
            if "gives" in base.__dict__ and issubclass(base, Metric):
                return base.gives if base.__module__.partition(".")[0] == home else {}
        return {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse declarations that cannot be read, and honour ``told``."""
        super().__pydantic_init_subclass__(**kwargs)
        for form, scale in cls.gives.items():
            if not isinstance(scale, Scale):
                raise RequestError(f"`gives` of {cls.__name__} declares {form!r} by {scale!r}")
            re.compile(form)
        if "told" in cls.__dict__ and "unnamed_parameters" not in cls.__dict__:
            message = (
                f"metric {cls.__name__}: `told` is now `unnamed_parameters`; the old name is gone "
                "in prunebench 0.3"
            )
            warnings.warn(message, DeprecationWarning, stacklevel=4)  # past pydantic's frames
            cls.unnamed_parameters = cls.told
        cls.told = cls.unnamed_parameters

    def compute(self, evidence: Evidence) -> Mapping[str, float | Tensor | Samples]:
        """Compute the metric.

        Args:
            evidence: What the metric reads.

        Returns:
            Named values: one number, or one number an image (1-D tensor; NaN where undefined),
            of which the harness publishes mean, interval and count. Measurements that were
            repeated may stand beside them as ``Samples``, which are kept to show how they spread.

        Raises:
            NotApplicable: The metric means nothing for this data, model or method; published as
                a missing value with this reason.
        """
        raise NotImplementedError
