"""Arguments of ``explain`` and ``compare``, as people write them, made tensors and names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from prunebench.cams.cam import Cam
from prunebench.errors import RequestError
from prunebench.networks.wrappers import name_plainly, unwrap
from prunebench.plugins import choose
from prunebench.plugins.base import from_function

Images = Any
"""Normalised images: a tensor or array, N×C×H×W; a list of tensors, C×H×W; a Dataset or DataLoader
of images or of pairs (image, label)."""
Classes = Any
"""Classes: a tensor, array or list of N whole numbers; one number for all images. Where an image
has several labels: N×K, 1 for each label that it has and 0 for the others."""
Layer = str | nn.Module
CamNames = str | Callable[..., Any] | Iterable[Any]
"""Explanation methods: by name; with parameters, ``{name: {parameter: value}}``; a ``Cam``, or a
function of a trace."""


class LabelledImages(NamedTuple):
    """Images, N×C×H×W, and their labels, N or N×K, where they came with some."""

    images: Tensor
    labels: Tensor | None = None


def read_images(given: Images) -> LabelledImages:
    """Read normalised images.

    Raises:
        RequestError: Not N×C×H×W, no images at all, not floating-point numbers, or not finite.
    """
    found = _collect(given)
    images = found.images.to_dense() if found.images.is_sparse else found.images
    if images.is_meta:
        raise RequestError("images are on the device 'meta', which holds no numbers")
    if images.dim() != 4 or len(images) == 0:
        raise RequestError(f"images are {tuple(images.shape)}; expected N×C×H×W with N at least 1")
    if not images.is_floating_point():
        raise RequestError(f"images are {images.dtype}; expected normalised floating-point numbers")
    wrong = (~images.isfinite().flatten(1).all(1)).nonzero()[:, 0]
    if len(wrong):
        raise RequestError(
            f"{len(wrong)} of {len(images)} images hold values that are not finite (NaN or "
            f"infinite), the first is image {int(wrong[0])}"
        )
    images = images.detach()
    return found._replace(images=images.clone() if images.is_inference() else images)


def _collect(given: Any) -> LabelledImages:
    if isinstance(given, Tensor):
        return LabelledImages(given)
    if isinstance(given, np.ndarray):
        return LabelledImages(_to_tensor(given, "images"))
    if isinstance(given, DataLoader):
        batches = [_split_pair(batch) for batch in given]
        return _join(batches, torch.cat)
    if isinstance(given, Dataset):
        listed = (
            given if isinstance(given, IterableDataset) else map(given.__getitem__, _count(given))
        )
        return _join([_split_pair(item) for item in listed], torch.stack)
    if isinstance(given, list | tuple) and given and all(isinstance(x, Tensor) for x in given):
        return _join([(image, None) for image in given], torch.stack)
    raise RequestError(
        f"images are {type(given).__name__}; expected a tensor, N×C×H×W (an array, a list of "
        "tensors, a Dataset or a DataLoader will do)"
    )


def _count(given: Dataset[Any]) -> range:
    return range(len(cast(Sized, given)))


def _split_pair(item: Any) -> tuple[Any, Any]:
    """Split what a data set gives into images and labels; None where it gives images alone."""
    if isinstance(item, Tensor):
        return item, None
    if isinstance(item, list | tuple) and item and isinstance(item[0], Tensor):
        return item[0], item[1] if len(item) == 2 else None
    raise RequestError(
        f"the data set gives {type(item).__name__}; expected normalised images as tensors, or "
        "pairs of images and labels"
    )


def _join(
    pairs: list[tuple[Tensor, Any]], together: Callable[[list[Tensor]], Tensor]
) -> LabelledImages:
    if not pairs:
        raise RequestError("the data set is empty; expected at least one image")
    if len({image.shape[-3:] for image, _ in pairs}) > 1:
        raise RequestError("the images are of several sizes; expected one size for all")
    images = together([image for image, _ in pairs])
    labels = [torch.as_tensor(label) for _, label in pairs if _is_label(label)]
    labels = [each if each.dim() and together is torch.cat else each[None] for each in labels]
    if len(labels) < len(pairs) or len({each.shape[1:] for each in labels}) > 1:
        return LabelledImages(images)
    joined = torch.cat(labels)
    known = joined.dim() == 1 or (joined.dim() == 2 and (joined.shape[1] == 1 or _is_0_1(joined)))
    return LabelledImages(images, joined if known and len(joined) == len(images) else None)


def _is_label(label: Any) -> bool:
    return isinstance(label, int | np.integer) or (isinstance(label, Tensor) and label.dim() <= 2)


def _is_0_1(matrix: Tensor) -> bool:
    return bool(((matrix == 0) | (matrix == 1)).all())


def read_classes(given: Classes, count: int, what: str) -> Tensor:
    """Read one class for each image, int64, N; or, of several, which it has, bool, N×K.

    A matrix with one label in every row is read as these labels.

    Args:
        given: As people write them.
        count: Number of images.
        what: What a message calls them: ``classes`` or ``labels``.

    Raises:
        RequestError: They are no whole numbers, or not as many as images; a matrix of other
            numbers than 0 and 1.
    """
    found = _to_tensor(given, what)
    if found.dim() == 0:
        found = found.expand(count)
    if found.dim() == 2 and found.shape[1] > 1 and len(found) == count:
        if not _is_0_1(found):
            raise RequestError(
                f"{what} are {tuple(found.shape)}; expected one for each of {count} images, or, "
                "where an image has several, 1 for each that it has and 0 for the others"
            )
        single = bool((found.sum(1) == 1).all())
        return found.to(torch.int8).argmax(1) if single else found == 1
    if found.shape not in ((count,), (count, 1)):
        raise RequestError(
            f"{what} are {tuple(found.shape)}; expected one for each of {count} images"
        )
    found = found.reshape(count)
    whole = found.to(torch.int64)
    if found.dtype is torch.bool or not torch.equal(whole.to(found.dtype), found):
        raise RequestError(f"{what} are {found.dtype}; expected whole numbers: indices of classes")
    return whole


def _to_tensor(given: Any, what: str) -> Tensor:
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"cannot read {what} from {type(given).__name__}: {error}") from None
    return found.clone() if found.is_inference() else found.detach()


def name_layer(layer: Any, module: nn.Module) -> str | None:
    """Return the name that a layer has without wrappers, given by its name or as the module.

    Args:
        layer: A name, which may hold the prefixes of ``torch.compile`` and distribution; a layer
            of the network; a list of one of these; None.
        module: The network.

    Raises:
        RequestError: The layer is no part of the network, or no layer.
    """
    if isinstance(layer, list | tuple) and len(layer) == 1:
        layer = layer[0]
    if layer is None:
        return None
    network = unwrap(module)
    names = dict(network.named_modules(remove_duplicate=False))
    plain = name_plainly(network)
    if isinstance(layer, nn.Module):
        inner = unwrap(layer)
        found = [plain[name] for name, each in names.items() if name and each is inner]
        if not found:
            raise RequestError(
                f"the target layer, a {type(inner).__name__}, is no layer of "
                f"{type(network).__name__}; give one of its own, or its name"
            )
        return str(found[0])
    if not isinstance(layer, str):
        raise RequestError(
            f"the target layer is a {type(layer).__name__}; expected its name or the module"
        )
    name = str(layer)
    while name not in {*plain, *plain.values()} and name.startswith(("module.", "_orig_mod.")):
        name = name.partition(".")[2]
    return plain.get(name, name) if name in {*plain, *plain.values()} else str(layer)


def choose_cams(cams: CamNames) -> dict[str, Cam]:
    """Find explanation methods, by the names that their maps will have.

    Raises:
        RequestError: None given, an unknown one, or a wrong parameter.
    """
    given = [cams] if isinstance(cams, str | Mapping) or callable(cams) else cams
    if not isinstance(given, Iterable):
        raise RequestError(f"explanation methods are {cams!r}; expected names, as in ('grad-cam',)")
    found: dict[str, Cam] = {}
    for item in given:
        for name, cam in _choose(item).items():
            if found.setdefault(name, cam) != cam:
                raise RequestError(f"two explanation methods are called {name!r}; rename one")
    if not found:
        raise RequestError("no explanation method given; 'grad-cam' is one")
    return found


def _choose(item: Any) -> dict[str, Cam]:
    if isinstance(item, str):
        item = {item: {}}
    if isinstance(item, Mapping):
        chosen = [choose("cams", name, dict(options or {})) for name, options in item.items()]
        return {each.label: each.plugin for each in chosen}
    if isinstance(item, type) and issubclass(item, Cam):
        item = item()
    if isinstance(item, Cam):
        return {type(item).__name__: item}
    if callable(item):
        made: Any = from_function(item, Cam)
        return {made.__name__: made()}
    raise RequestError(
        f"{item!r} is no explanation method; expected its name, {{name: parameters}}, a Cam or a "
        "function of a trace"
    )
