"""Images of a Python program as a data set: tensors, arrays, a ``Dataset`` or a ``DataLoader``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sized
from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler
from torch.utils.data import Dataset as TorchDataset

from prunebench.data import Data, Normalisation, Split
from prunebench.datasets import Dataset
from prunebench.datasets.splits import cut_validation, divide
from prunebench.errors import RequestError

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
Splits = dict[str, tuple[Tensor, Tensor]]
"""Images, uint8 N×C×H×W, and labels, int64 N, by split."""


class GivenImages(Dataset):
    """Images of a Python program, in memory.

    A network is shown them in [0, 1], as torchvision's ``ToTensor`` gives them, unless ``mean`` and
    ``std`` say otherwise.
    """

    content: str = Field(description="digest of the images and labels")
    mean: tuple[float, ...] = Field((), description="mean of pixels in [0, 1], one a channel; or 0")
    std: tuple[float, ...] = Field((), description="their standard deviation; or 1")
    classes: int | tuple[str, ...] = Field(
        (), description="how many there are, or their names; by default one more than any label"
    )
    test: float = Field(0.2, gt=0, lt=1, description="share cut off for testing where none is")
    validation: float = Field(0.1, gt=0, lt=1, description="share of training cut off likewise")

    splits: ClassVar[Splits]

    def load(self) -> Data:
        """Return the images, cut into splits where they were not."""
        found = {name: Split(*pair) for name, pair in self.splits.items()}
        if "test" not in found:
            kept, cut = divide(len(found["train"]), self.test, "python", "test")
            everything = found["train"]
            found |= {"train": everything.subset(kept), "test": everything.subset(cut)}
        if "validation" not in found:
            train, validation = cut_validation(found["train"], self.validation, "python")
            found |= {"train": train, "validation": validation}
        channels = found["train"].pixels[torch.tensor([0])].shape[1]
        mean, std = self.mean or (0.0,) * channels, self.std or (1.0,) * channels
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != channels:
                raise RequestError(
                    f"parameter {name!r} has {len(values)} values; expected {channels}: one for "
                    "each channel of the images"
                )
        return Data(
            **found, class_names=self._name_classes(), normalisation=Normalisation(mean, std)
        )

    def _name_classes(self) -> tuple[str, ...]:
        count = max(int(labels.max()) for _, labels in self.splits.values()) + 1
        names = self.classes or count
        names = tuple(map(str, range(names))) if isinstance(names, int) else names
        if len(names) < count:
            raise RequestError(
                f"parameter 'classes' tells of {len(names)}; expected {count} at least, for the "
                f"labels are up to {count - 1}"
            )
        return names


def is_images(value: object) -> bool:
    """Tell whether an object is images with labels, in one of the forms that are read."""
    return _is_pair(value) or isinstance(value, TorchDataset | DataLoader) or is_splits(value)


def is_splits(value: object) -> bool:
    """Tell whether an object is a mapping of splits."""
    return isinstance(value, Mapping) and bool(value) and value.keys() <= set(SPLITS)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(each, Tensor | np.ndarray) for each in value)
    )


def read_splits(given: Any) -> Splits:
    """Read images and labels, by split; of one set of images, all are ``train``.

    Raises:
        RequestError: They are no images that networks are shown, or there are no labels.
    """
    found = given if is_splits(given) else {"train": given}
    if "train" not in found:
        raise RequestError(f"the split 'train' is missing; there is {', '.join(map(repr, found))}")
    splits = {name: read_labelled(found[name], name) for name in SPLITS if name in found}
    shapes = {name: tuple(images.shape[1:]) for name, (images, _) in splits.items()}
    for name, shape in shapes.items():
        if shape != shapes["train"]:
            raise RequestError(
                f"images of {name!r} are {shape}, those of 'train' {shapes['train']}"
            )
    return splits


def find_changing(given: Any) -> str:
    """Say which data set gives other images whenever it is read; empty if none does."""
    for name, each in given.items() if is_splits(given) else [("data set", given)]:
        if not _is_pair(each):
            first, again = (next(_list_pairs(each, name))[0] for _ in range(2))
            if not torch.equal(first, again):
                return f"the {name} gives other images each time it is read, as augmentation does"
    return ""


def read_labelled(given: Any, split: str) -> tuple[Tensor, Tensor]:
    """Read images as uint8, N×C×H×W, and labels as int64, N.

    Args:
        given: A pair of tensors or arrays, a ``Dataset`` or a ``DataLoader``.
        split: What a message calls them.

    Raises:
        RequestError: They are none such.
    """
    if _is_pair(given):
        images, labels = (torch.as_tensor(each).detach().cpu() for each in given)
    else:
        pairs = list(_list_pairs(given, split))
        if not pairs:
            raise RequestError(f"{split!r} is empty; expected at least one image")
        if len({image.shape[1:] for image, _ in pairs}) > 1:
            raise RequestError(f"images of {split!r} are of several sizes; expected one for all")
        images, labels = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return _read_pixels(images, split), _read_labels(labels, len(images), split)


def _list_pairs(given: Any, split: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images, N×C×H×W, and labels, N, item by item or batch by batch."""
    batched = isinstance(given, DataLoader)
    if not isinstance(given, DataLoader | TorchDataset):
        raise RequestError(
            f"{split!r} is a {type(given).__name__}; expected a pair (images, labels) of tensors "
            "or arrays, a torch Dataset or a DataLoader"
        )
    listed: Any = _put_in_order(given, split) if isinstance(given, DataLoader) else given
    if not batched and not isinstance(given, IterableDataset):
        listed = map(listed.__getitem__, range(len(listed)))
    for item in listed:
        if not isinstance(item, list | tuple) or len(item) < 2:
            raise RequestError(
                f"{split!r} gives {type(item).__name__}; expected pairs of an image and its label"
            )
        image, label = _to_tensor(item[0], split), torch.as_tensor(item[1])
        alone = not batched or label.dim() == 0  # as of a loader without a batch size
        yield (image[None], label.reshape(1)) if alone else (image, label)


def _put_in_order(loader: DataLoader[Any], split: str) -> DataLoader[Any]:
    """Return a loader of the same batches without chance: of one that shuffles, in order.

    Raises:
        RequestError: Its sampler draws other images each time.
    """
    if isinstance(loader.dataset, IterableDataset):
        return loader
    sampler, images = loader.sampler, len(cast(Sized, loader.dataset))
    if (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.num_samples == len(sampler.data_source) == images
    ):
        return DataLoader(
            loader.dataset,
            loader.batch_size,
            collate_fn=loader.collate_fn,
            num_workers=loader.num_workers,
            worker_init_fn=loader.worker_init_fn,
        )
    chosen = loader.batch_sampler or sampler
    if [*chosen] != [*chosen]:
        raise RequestError(
            f"{split!r} is a DataLoader whose sampler draws other images each time; expected one "
            "that goes through its data set, which `shuffle=True` does too: give a Subset of the "
            "data set for a part of it"
        )
    return loader


def _to_tensor(image: Any, split: str) -> Tensor:
    if type(image).__module__.startswith("PIL."):
        pixels = np.array(image)
        return torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)
    if not isinstance(image, Tensor | np.ndarray):
        raise RequestError(
            f"images of {split!r} are {type(image).__name__}; expected tensors, arrays or pictures "
            "of Pillow"
        )
    return torch.as_tensor(image).detach().cpu()


def _read_pixels(images: Tensor, split: str) -> Tensor:
    """Return images as 8-bit numbers, as which all data sets are kept."""
    if images.dim() != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        hint = "; channels come before height" if images.dim() == 4 else ""
        raise RequestError(
            f"images of {split!r} are {tuple(images.shape)}; expected N×C×H×W of one channel or "
            f"three{hint}"
        )
    if images.dtype is torch.uint8:
        return images.contiguous()
    if not images.is_floating_point():
        raise RequestError(
            f"images of {split!r} are {images.dtype}; expected uint8, or floating point in [0, 1]"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise RequestError(
            f"images of {split!r} hold values from {low:.4g} to {high:.4g}; expected [0, 1], as "
            "before normalisation: give `mean` and `std` as parameters of the data set"
        )
    scaled = images.double() * 255
    pixels = scaled.round()
    if not torch.allclose(scaled, pixels, rtol=0, atol=1e-3):
        logger.warning("images of %r are rounded to 8 bits, as which all data sets are kept", split)
    return pixels.to(torch.uint8)


def _read_labels(labels: Tensor, count: int, split: str) -> Tensor:
    found = labels.reshape(-1) if labels.shape in ((count,), (count, 1)) else labels
    if found.shape != (count,):
        raise RequestError(
            f"labels of {split!r} are {tuple(labels.shape)}; expected one for each of {count} "
            "images"
        )
    whole = found.to(torch.int64)
    if found.dtype is torch.bool or not torch.equal(whole.to(found.dtype), found):
        raise RequestError(f"labels of {split!r} are {found.dtype}; expected whole numbers")
    if count and int(whole.min()) < 0:
        raise RequestError(f"labels of {split!r} hold {int(whole.min())}; expected 0 and more")
    return whole
