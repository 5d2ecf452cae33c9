"""``compare`` for models in files and images in a folder: what the command line asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from prunebench.comparison.checks import predict_logits
from prunebench.comparison.compare import Comparison, compare
from prunebench.comparison.image_folder import load_images
from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.networks.classifier import make_classifier
from prunebench.networks.factory import (
    build_module,
    find_source_file,
    load_weights,
    parse_model,
    read_weights,
)
from prunebench.networks.layout import Layout
from prunebench.plugins import choose

DEFAULT_CLASSES = 1000  # ImageNet's, as torchvision's models assume
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def compare_files(
    baseline: str,
    pruned: str,
    data: Path,
    *,
    classes: int | None = None,
    size: str = "224",
    mean: str | None = None,
    std: str | None = None,
    target_layer: str | None = None,
    cams: tuple[str, ...] = ("grad-cam", "grad-cam++", "ablation-cam"),
    class_policy: str = "baseline",
    limit: int | None = None,
    unsafe_pickle: bool = False,
) -> Comparison:
    """Compare two models given as ``FACTORY[@WEIGHTS]``.

    Args:
        baseline: The model before compression.
        pruned: The model after compression.
        data: A folder of images. Where its subfolders are as many as classes, they are labels.
        classes: Number of outputs; by default read off the weights, else 1000.
        size: ``224``, or height and width as ``224x160``.
        mean: Channel means, separated by commas; by default those that the baseline's plugin
            demands, else ImageNet's.
        std: Channel deviations, likewise.
        target_layer: A layer, or the baseline's and the pruned model's, separated by a comma.
        cams: Explanation methods.
        class_policy: ``baseline``, ``label`` or ``own``.
        limit: Images at most.
        unsafe_pickle: Read whole pickles.

    Raises:
        RequestError: Models, weights, images or options do not fit together.
    """
    shape = _read_size(size)
    demanded = _find_normalisation(baseline)
    means = demanded.mean if mean is None else _read_numbers(mean, "--mean")
    deviations = demanded.std if std is None else _read_numbers(std, "--std")
    images, names = load_images(data, shape, means, deviations, limit)
    channels = images.shape[1]
    before = _load_module(baseline, classes, channels, shape, unsafe_pickle)
    after = _load_module(pruned, classes, channels, shape, unsafe_pickle)
    outputs = _count_classes(before, images)
    layers = tuple(target_layer.split(",")) if target_layer else ()
    if len(layers) > 2:
        raise RequestError(f"{target_layer!r} names more than two layers", where="--target-layer")
    wanted = (layers[0], layers[-1]) if layers else (_find_layer(baseline), _find_layer(pruned))
    found = compare(
        before,
        after,
        images,
        labels=_find_labels(data, names, outputs),
        cams=cams,
        target_layer=wanted,
        layout=(_find_layout(baseline), _find_layout(pruned)),
        class_policy=class_policy,  # type: ignore[arg-type]  # compare checks it
        names=names,
    )
    numbers = [", ".join(f"{value:g}" for value in values) for values in (means, deviations)]
    return replace(
        found,
        about=(
            f"Baseline: `{baseline}`; pruned: `{pruned}`",
            f"Images: `{data}`, resized to {shape[0]}×{shape[1]}, mean {numbers[0]}, deviation "
            f"{numbers[1]}",
        ),
        warnings=found.warnings
        + tuple(
            f"the {name} network `{text}` is given no weights; unless its factory loads some, they "
            "are random"
            for name, text in (("baseline", baseline), ("pruned", pruned))
            if parse_model(text)[1] is None
        ),
    )


def _count_classes(baseline: nn.Module, images: Tensor) -> int:
    try:
        network = make_classifier(baseline, images)
    except RequestError as error:
        raise RequestError(error.message, where="baseline network") from error.__cause__
    return predict_logits(network, "baseline", images[:1], batch_size=1).shape[1]


def _find_normalisation(text: str) -> Normalisation:
    factory, _ = parse_model(text)
    if find_source_file(factory):
        return IMAGENET
    demanded: Normalisation | None = choose("models", factory).plugin.normalisation()
    return demanded or IMAGENET


def _find_layout(text: str) -> Layout:
    factory, _ = parse_model(text)
    if find_source_file(factory):
        return "maps"
    found: Layout = choose("models", factory).plugin.layout()
    return found


def _find_layer(text: str) -> str | None:
    """Return the target layer of a model that gives tokens; None where the last maps do."""
    factory, _ = parse_model(text)
    if _find_layout(text) == "maps":
        return None
    found: str = choose("models", factory).plugin.target_layer()
    return found


def _load_module(
    text: str, classes: int | None, channels: int, size: tuple[int, int], unsafe_pickle: bool
) -> nn.Module:
    factory, weights = parse_model(text)
    state = read_weights(weights, unsafe_pickle=unsafe_pickle) if weights else None
    outputs = classes or _count_outputs(state) or DEFAULT_CLASSES
    module = build_module(factory, {}, outputs, channels, size)
    if state is not None:
        load_weights(module, state, str(weights))
    return module.eval()


def _count_outputs(state: dict[str, Tensor] | None) -> int | None:
    """Count the classes that weights were trained for: the rows of the last matrix."""
    matrices = [tensor for tensor in (state or {}).values() if tensor.ndim == 2]
    return len(matrices[-1]) if matrices else None


def _find_labels(root: Path, names: list[str], outputs: int) -> Tensor | None:
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    if len(folders) != outputs or any("/" not in name for name in names):
        return None
    return torch.tensor([folders.index(name.partition("/")[0]) for name in names])


def _read_size(text: str) -> tuple[int, int]:
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise RequestError(f"{text!r} is no size; expected 224 or 224x160", where="--size")
    return int(parts[0]), int(parts[-1])


def _read_numbers(text: str, where: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise RequestError(
            f"{text!r} are no numbers separated by commas, such as 0.5,0.5,0.5", where=where
        ) from None
