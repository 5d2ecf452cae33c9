"""The parts that a record is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

WIDEST = 96  # pixels of an image or a map kept, the longer side
WIDEST_OF_PRUNER = 512  # pixels of a picture that a compression method makes
MOST_TIMES = 100  # timed passes kept of a network
MOST_CLASSES = 100  # whose names are kept

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+=-]*$", max_length=200)]
LARGEST_NUMBER = 1e100
"""Of a record: sums, squares and ratios of such numbers are still finite."""
LARGEST_COUNT = 2**53
"""Up to this every whole number is one in JSON and as a float, too."""

Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Whole = Annotated[int, Field(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Fraction = Annotated[float, Field(ge=-1e6, le=1)]  # negative where there is more than before


class Strict(BaseModel):
    """Base of the schema: nothing unknown, no infinite number; each field says its range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Value(Strict):
    """One published number.

    Attributes:
        mean: The value, or the mean over images; null with a reason.
        low: Lower bound of the 95% interval.
        high: Upper bound of the 95% interval.
        interval: What the interval covers, such as "bootstrap over images".
        n: Images behind the mean.
        undefined: Images left out of it because the value is not defined there.
        reason: Why ``mean`` is null.
        measured: Whether it was timed: such values differ from run to run.
    """

    mean: Number | None
    low: Number | None = None
    high: Number | None = None
    interval: str | None = None
    n: Whole | None = None
    undefined: Whole = 0
    reason: str | None = None
    measured: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Value:
        if self.mean is None and not self.reason:
            raise ValueError("a missing value needs a reason")
        if (
            self.mean is not None
            and self.low is not None
            and self.high is not None
            and not self.low - 1e-9 <= self.mean <= self.high + 1e-9
        ):
            raise ValueError(f"interval {self.low}..{self.high} excludes the mean {self.mean}")
        return self


class Reached(Strict):
    """Fractions of the baseline really removed: physically, or as zeros under a mask.

    Attributes:
        weights: Of convolution and linear weights, zeros included.
        params: Of all parameters, physically.
        channels: Of the channels of convolutions, physically.
        macs: Of the MACs of a dense execution.
    """

    weights: Fraction
    params: Fraction
    channels: Fraction
    macs: Fraction


class Heatmap(Strict):
    """A picture kept in the record.

    Attributes:
        image: Index in the test split.
        cam: Explanation method; null for the image itself.
        png: The picture, base64 PNG: 8-bit grey for a map (255 is 1.0), RGB for an image.
    """

    image: Count
    cam: str | None
    png: str


class Moved(Strict):
    """One of the images whose map changed most.

    Attributes:
        image: Index in the test split.
        cam: Explanation method.
        sp2ps: How much of the baseline's map is left.
        baseline_class: The class that the baseline predicts; null where no value reads that.
        own_class: The class that this network predicts, likewise.
        png: The image, base64 PNG, grey or RGB; null where it may not be shown.
        before: The baseline's map, as ``Heatmap.png``.
        after: This network's map, of the same size.
    """

    image: Count
    cam: str
    sp2ps: Annotated[float, Field(ge=0, le=1)]
    baseline_class: Count | None
    own_class: Count | None
    png: str | None
    before: str
    after: str


class Changed(Strict):
    """One of the images of which this network predicts another class than its baseline does.

    Attributes:
        image: Index in the test split.
        baseline_class: The class that the baseline predicts.
        own_class: The class that this network predicts, never the same one.
        label: The true class.
        png: The image, base64 PNG, grey or RGB; null where it may not be shown.
    """

    image: Count
    baseline_class: Count
    own_class: Count
    label: Count
    png: str | None


class Training(Strict):
    """How a baseline came to be.

    Attributes:
        from_scratch: Whether it started from random weights, not from given ones.
        epochs: Of its training, or of the adaptation of given weights; 0 where neither happened.
        keep: Whether the epoch kept was the best on the validation split, or the last; null where
            nothing was trained.
        images_seen: Training images, each as often as it was seen.
        network: A digest that two baselines share exactly where they are one network but for how
            they were trained: of the architecture, and of the content of given weights.
    """

    from_scratch: bool
    epochs: Count
    keep: Literal["best", "last"] | None
    images_seen: Count
    network: Slug


class Weights(Strict):
    """Where the network itself is: a file of safetensors that ``prunebench export`` wrote.

    Attributes:
        url: Its address, ``https://...``; a path where it is on the same machine.
        sha256: Digest of its content: nothing else is read.
        bytes: Its size.
    """

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(gt=0, le=LARGEST_COUNT)]


Time = Annotated[float, Field(ge=0, le=1e12)]
Milliseconds = Annotated[tuple[Time, ...], Field(max_length=MOST_TIMES)]


class Times(Strict):
    """Milliseconds of each timed pass of both networks: pass i of one beside pass i of the other.

    Attributes:
        baseline: Of the baseline.
        network: Of this network.
    """

    baseline: Milliseconds
    network: Milliseconds


class Epoch(Strict):
    """One epoch of a training curve.

    Attributes:
        terms: The terms that the loss is the sum of, and what else a method tells of each epoch,
            by name.
    """

    epoch: Count
    loss: Number
    lr: Number
    validation_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    terms: dict[Slug, Number] = {}


class Conditions(Strict):
    """What must be equal for two rows to be comparable.

    Attributes:
        dataset: The data set with its parameters.
        data_digest: Digest of the data's content.
        model: The model with its parameters (weights by their digest).
        recovery: Options of recovery fine-tuning, all of them; null for none.
        explained_images: Number of test images explained.
        class_policy: Whose class is explained.
        target_layer: Whose output is explained.
        device: Type of device.
        precision: Number format.
        versions: Of the data set's and the model's plugin, and of the kinds of step.
    """

    dataset: str
    data_digest: str
    model: str
    recovery: dict[str, Any] | None
    explained_images: Count
    class_policy: str
    target_layer: str
    device: str
    precision: str
    versions: dict[str, Whole] = {}
