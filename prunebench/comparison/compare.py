"""Does a pruned network still look where it looked? Two networks and images in, one page out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

from torch import Tensor, nn

from prunebench.cams.arguments import (
    CamNames,
    Classes,
    Images,
    Layer,
    choose_cams,
    name_layer,
    read_classes,
    read_images,
)
from prunebench.cams.cam import Cam
from prunebench.cams.explained_batches import Explained, explain_batches, split_batches
from prunebench.cams.explaining import choose_layer, learn_on
from prunebench.comparison.checks import (
    ClassPolicy,
    check_labels,
    check_request,
    check_same_classes,
    predict_logits,
)
from prunebench.comparison.measures import (
    average_scores,
    choose_pictures,
    measure_accuracy,
    pair_maps,
    tabulate_images,
)
from prunebench.comparison.result import Comparison
from prunebench.errors import RequestError
from prunebench.networks.ambient_modes import leave_ambient_modes
from prunebench.networks.classifier import describe_dependence, make_classifier
from prunebench.networks.evaluation import to_module
from prunebench.networks.layout import Layout
from prunebench.networks.wrappers import unwrap
from prunebench.progress import counting

__all__ = ["Comparison", "compare"]

NETWORKS = ("baseline", "pruned")
SEVERAL = (
    "Images have several labels: accuracy is the share of labels told rightly, where a logit above "
    "0 says yes; where true labels are explained, it is the one with the baseline's largest logit"
)


@leave_ambient_modes()
def compare(
    baseline: nn.Module,
    pruned: nn.Module,
    images: Images,
    labels: Classes | None = None,
    cams: CamNames = ("grad-cam", "grad-cam++", "ablation-cam"),
    target_layer: Layer | tuple[Layer | None, Layer | None] | None = None,
    class_policy: ClassPolicy = "baseline",
    *,
    names: Sequence[str] | None = None,
    batch_size: int = 64,
    layout: Layout | tuple[Layout, Layout] = "maps",
    quiet: bool = False,
) -> Comparison:
    """Compare where two networks look, image by image.

    The networks may differ in architecture, but answer the same question: the same classes, on
    images normalised in the same way. Both are left as they were found.

    Args:
        baseline: The network before pruning.
        pruned: The network after pruning (or any other one).
        images: Normalised images, N×C×H×W: a tensor, an array, a list, a Dataset or a DataLoader.
        labels: True classes, N, or, where an image has several, N×K, 0 and 1; for accuracies and
            ``class_policy="label"``. By default those that come with the images, where a Dataset
            or DataLoader gives some.
        cams: Explanation methods: names, ``{name: parameters}``, or functions of a trace.
        target_layer: The layer that is explained, or its name, one for both networks or
            (baseline's, pruned's); by default each network's own last convolutional stage.
        class_policy: Whose class is explained: the baseline's prediction in both networks, the
            true label (of several, the one with the baseline's largest logit), or each network's
            own prediction (then two maps may answer two different questions).
        names: Names of the images for the page; their indices by default.
        batch_size: Images a batch; it changes nothing but speed and memory.
        layout: How the target layer's output is read as maps (see ``explain``), one for both
            networks or (baseline's, pruned's).
        quiet: Show no progress.

    Raises:
        RequestError: The networks, images, labels or options do not fit together.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)]
        >>> model, images = nn.Sequential(*layers).eval(), torch.rand(4, 3, 8, 8)
        >>> from copy import deepcopy
        >>> from torch.nn.utils import prune
        >>> pruned = deepcopy(model)
        >>> _ = prune.l1_unstructured(pruned[0], "weight", amount=0.5)
        >>> from prunebench import compare
        >>> found = compare(model, pruned, images, cams=("grad-cam",), quiet=True)
        >>> found.layers, found.images
        (('1', '1'), 4)
        >>> bool(0 <= found.scores.loc["grad-cam", "sp2ps"] <= 1)
        True
        >>> found.save("comparison").name
        'comparison.md'
    """
    chosen = choose_cams(cams)
    images, labels_given = read_images(images)
    labels = labels_given if labels is None else labels
    if labels is not None:
        labels = read_classes(labels, len(images), "labels").to(images.device)
    check_request(len(images), labels, class_policy, names)
    layouts = layout if isinstance(layout, tuple) else (layout, layout)
    names_of_layers = _name_layers((baseline, pruned), target_layer)
    modules = _make_classifiers((baseline, pruned), images)
    classes = [
        predict_logits(module, name, images[:1], 1).shape[1]
        for module, name in zip(modules, NETWORKS, strict=True)
    ]
    layers = _choose_layers(modules, names_of_layers, layouts, images)
    check_same_classes(classes)
    if labels is not None:
        check_labels(labels, classes[0])
    results = _explain_both(
        modules, layers, layouts, images, labels, chosen, class_policy, batch_size, quiet
    )
    logits = [result.logits for result in results]
    predictions = [each.argmax(1) for each in logits]
    pairs = pair_maps(results)
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    per_image = tabulate_images(results, size, names, labels)
    return Comparison(
        scores=average_scores(per_image, pairs),
        per_image=per_image,
        agreement=float((predictions[0] == predictions[1]).double().mean()),
        accuracy=None if labels is None else measure_accuracy(logits, labels),
        layers=layers,
        class_policy=class_policy,
        pictures=choose_pictures(per_image, pairs, images),
        uncut=tuple(result.uncut for result in results),
        about=(SEVERAL,) if labels is not None and labels.dim() == 2 else (),
        warnings=_describe_dependences(modules, images),
    )


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say in a refusal which of the two networks it is about."""
    try:
        yield
    except RequestError as error:
        where = f"{name} network"
        raise RequestError(error.message, where=error.where or where) from error.__cause__


def _name_layers(
    modules: tuple[nn.Module, nn.Module],
    target_layer: Layer | tuple[Layer | None, Layer | None] | None,
) -> tuple[str | None, str | None]:
    """Return the names of the layers asked for in the baseline and in the pruned network."""
    if isinstance(target_layer, nn.Module):
        # A layer of one network, and the one of its name in the other.
        within = [module for module in modules if target_layer in set(unwrap(module).modules())]
        target_layer = name_layer(target_layer, (within or modules)[0])
    wanted = (
        target_layer if isinstance(target_layer, tuple | list) else (target_layer, target_layer)
    )
    if len(wanted) != 2:
        raise RequestError(
            f"{len(wanted)} target layers; expected one name, or the baseline's and the pruned "
            "network's"
        )
    found = []
    for module, name, layer in zip(modules, NETWORKS, wanted, strict=True):
        with _naming(name):
            found.append(name_layer(layer, module))
    return found[0], found[1]


def _make_classifiers(
    modules: tuple[nn.Module, nn.Module], images: Tensor
) -> tuple[nn.Module, nn.Module]:
    found = []
    for module, name in zip(modules, NETWORKS, strict=True):
        with _naming(name):
            found.append(make_classifier(module, to_module(images[:1], unwrap(module))))
    return found[0], found[1]


def _choose_layers(
    modules: tuple[nn.Module, nn.Module],
    wanted: tuple[str | None, str | None],
    layouts: tuple[Layout, Layout],
    images: Tensor,
) -> tuple[str, str]:
    """Return the baseline's and the pruned network's target layer."""
    found = []
    for module, name, layer, layout in zip(modules, NETWORKS, wanted, layouts, strict=True):
        with _naming(name):
            found.append(choose_layer(module, layer, images, layout))
    return found[0], found[1]


def _describe_dependences(modules: tuple[nn.Module, nn.Module], images: Tensor) -> tuple[str, ...]:
    found = []
    for module, name in zip(modules, NETWORKS, strict=True):
        if depends := describe_dependence(module, to_module(images[:1], module)):
            found.append(
                f"the maps of the {name} network do not depend on the image alone, but on {depends}"
            )
    return tuple(found)


def _explain_both(
    modules: tuple[nn.Module, nn.Module],
    layers: tuple[str, str],
    layouts: tuple[Layout, Layout],
    images: Tensor,
    labels: Tensor | None,
    cams: dict[str, Cam],
    class_policy: ClassPolicy,
    batch_size: int,
    quiet: bool,
) -> tuple[Explained, Explained]:
    """Return maps, logits and explained classes of the baseline and of the pruned network."""
    prepared = [learn_on(images, module, cams, quiet) for module in modules]
    results: list[Explained] = []
    with counting(2 * len(images), "images explained", quiet) as progress:
        for index, name in enumerate(NETWORKS):
            classes = labels if class_policy == "label" else None
            if class_policy != "own" and results:
                classes = results[0].classes
            with _naming(name):
                found = explain_batches(
                    modules[index],
                    layers[index],
                    split_batches(images, classes, batch_size),
                    cams,
                    layout=layouts[index],
                    prepared=prepared[index],
                    # As in a suite, each network draws random maps of its own.
                    seed=index,
                    progress=partial(_advance, progress, index * len(images)),
                )
            results.append(found)
    return results[0], results[1]


def _advance(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)
