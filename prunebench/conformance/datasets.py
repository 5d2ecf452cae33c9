"""What every data set is held to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from prunebench.conformance.checks import Check, Skip, require
from prunebench.conformance.declared import DECLARED
from prunebench.data import Data, Split
from prunebench.datasets import Dataset
from prunebench.plugins import Chosen

SPLITS = ("train", "validation", "test")
MOST = 20_000
"""Images of a split that are looked at."""
SHARED = 0.01
"""Part of a split that may be in another one too: published data sets hold a few doubles."""


class CheckedDataset:
    """A data set, read once.

    Raises:
        RequestError: Files are missing.
    """

    def __init__(self, chosen: Chosen[Dataset], parameters: dict[str, object]) -> None:
        self.chosen = chosen
        self.parameters = parameters
        self.files = chosen.plugin.files()

    @cached_property
    def data(self) -> Data:
        """The images."""
        return self.chosen.plugin.load()

    def splits(self) -> Iterator[tuple[str, Split]]:
        """Yield each split with its name, empty ones left out."""
        for name in SPLITS:
            split = getattr(self.data, name)
            if len(split):
                yield name, split


def read_pixels(split: Split) -> Iterator[Tensor]:
    """Yield the images, a few at a time."""
    for indices in torch.split(torch.arange(min(len(split), MOST)), 256):
        yield split.pixels[indices]


def digest_images(split: Split) -> list[bytes]:
    """Return a digest of each image's content."""
    return [
        hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest()
        for batch in read_pixels(split)
        for image in batch.cpu()
    ]


def check_sizes(subject: CheckedDataset) -> str:
    """Check that there are images to train and to test on, and files that they come from."""
    sizes = {name: len(getattr(subject.data, name)) for name in SPLITS}
    for name in ("train", "test"):
        require(sizes[name] > 0, f"there are no images in {name}")
    require(bool(subject.files), "`files` names no file: results would not change with the images")
    for path in subject.files:
        require(path.is_file(), f"`files` names {path}, which is no file")
    return ", ".join(f"{count:,} {name}" for name, count in sizes.items())


def check_shapes(subject: CheckedDataset) -> str:
    """Check that all images are bytes, of one shape."""
    shape = subject.data.shape
    for name, split in subject.splits():
        require(len(split.pixels) == len(split), f"{name} has not one label an image")
        for batch in read_pixels(split):
            require(batch.dtype == torch.uint8, f"{name} holds {batch.dtype}, not uint8")
            found = tuple(batch.shape[1:])
            require(found == shape, f"{name} has an image of {found}, elsewhere they are {shape}")
    return "×".join(map(str, shape))


def check_labels(subject: CheckedDataset) -> None:
    """Check that labels are classes, and that every class has training images."""
    count = subject.data.classes
    for name, split in subject.splits():
        labels = split.labels
        require(labels.dtype == torch.int64, f"labels of {name} are {labels.dtype}, not int64")
        lowest, highest = int(labels.min()), int(labels.max())
        inside = lowest >= 0 and highest < count
        require(inside, f"labels of {name} are {lowest} to {highest}; there are {count} classes")
    seen = set(subject.data.train.labels.tolist())
    unseen = [name for k, name in enumerate(subject.data.class_names) if k not in seen]
    require(not unseen, f"class {(unseen or ['?'])[0]!r} has no training images")


def check_class_names(subject: CheckedDataset) -> None:
    """Check that class names are different words."""
    names = subject.data.class_names
    require(len(names) >= 2, f"there are {len(names)} classes")
    require(all(isinstance(n, str) and n.strip() for n in names), "a class has no name")
    require(len(set(names)) == len(names), "two classes have the same name")


def check_splits(subject: CheckedDataset) -> str:
    """Check that splits share no more images than published data sets do."""
    contents = {name: digest_images(split) for name, split in subject.splits()}
    shares = {}
    for name, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
        if name in contents and other in contents:
            known = set(contents[other])
            shares[f"{name} in {other}"] = sum(d in known for d in contents[name]) / len(
                contents[name]
            )
    told = ", ".join(f"{share:.2%} of {name}" for name, share in shares.items())
    require(all(share <= SHARED for share in shares.values()), f"splits share images: {told}")
    return told


def check_repetition(subject: CheckedDataset) -> None:
    """Check that it is the same when it is read again."""
    again = subject.chosen.plugin.load()
    require(again.class_names == subject.data.class_names, "class names differ")
    require(again.normalisation == subject.data.normalisation, "the normalisation differs")
    for name, split in subject.splits():
        other: Split = getattr(again, name)
        require(torch.equal(other.labels, split.labels), f"labels of {name} differ")
        require(digest_images(other) == digest_images(split), f"images of {name} differ")


def check_normalisation(subject: CheckedDataset) -> None:
    """Check that mean and deviation are numbers, one a channel."""
    look = subject.data.normalisation
    channels = subject.data.shape[0]
    for name, values in (("mean", look.mean), ("std", look.std)):
        require(len(values) == channels, f"{len(values)} values of {name}, {channels} channels")
        require(all(map(math.isfinite, values)), f"{name} is {values}")
    require(all(value > 0 for value in look.std), f"std is {look.std}; it divides")


def check_ground_truth(subject: CheckedDataset) -> str:
    """Check that masks and boxes fit their images."""
    found = []
    _, height, width = subject.data.shape
    for name, split in subject.splits():
        if split.boxes is not None:
            require(tuple(split.boxes.shape) == (len(split), 4), f"boxes of {name} are not N×4")
            found.append(f"boxes of {name}")
        if split.masks is not None:
            shape = tuple(split.masks.shape)
            require(len(shape) == 3 and shape[0] == len(split), f"masks of {name} are {shape}")
            same_form = shape[1] * width == shape[2] * height
            require(same_form, f"masks of {name} are {shape[1:]}, images {(height, width)}")
            found.append(f"masks of {name}")
    if not found:
        raise Skip("it has neither masks nor boxes")
    return ", ".join(found)


SUBJECT = CheckedDataset
"""What the checks are given."""

CHECKS = (
    Check("loads", check_sizes, first=True),
    Check("images are alike", check_shapes),
    Check("labels are classes", check_labels),
    Check("classes have names", check_class_names),
    Check("splits are disjoint", check_splits),
    Check("same images again", check_repetition),
    Check("normalisation fits", check_normalisation),
    Check("masks and boxes fit", check_ground_truth),
    *DECLARED,
)
