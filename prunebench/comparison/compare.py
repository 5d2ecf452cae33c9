"""Does a pruned network still look where it looked? Two networks and images in, one page out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn

from prunebench.cams.arguments import (
    CamNames,
    Classes,
    Images,
    Layer,
    choose_cams,
    read_classes,
    read_images,
)
from prunebench.comparison.baseline_check import are_probabilities, find_doubt
from prunebench.comparison.checks import (
    ClassPolicy,
    check_class_names,
    check_labels,
    check_request,
    check_same_classes,
    predict_logits,
)
from prunebench.comparison.controls import Controls
from prunebench.comparison.costs import measure_costs
from prunebench.comparison.explained_networks import (
    ExplainedNetwork,
    choose_networks,
    describe_dependences,
    explain_all,
)
from prunebench.comparison.measures import (
    average_scores,
    choose_pictures,
    measure_accuracy,
    pair_maps,
    tabulate_controls,
    tabulate_images,
)
from prunebench.comparison.result import Comparison
from prunebench.model_files.graphs.in_memory import to_layers
from prunebench.model_files.untrained import describe_statistics
from prunebench.networks.ambient_modes import leave_ambient_modes
from prunebench.networks.layout import Layout
from prunebench.progress import counting

__all__ = ["Comparison", "compare"]

SEVERAL = (
    "Images have several labels: accuracy is the share of labels told rightly, where a logit above "
    "0 says yes; where true labels are explained, it is the one with the baseline's largest logit"
)

LEAST_IMAGES = 20
"""Images below which no verdict is given: an interval of fewer tells little."""


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
    controls: Controls | None = None,
    class_names: Sequence[str] | None = None,
    cost: bool = False,
    quiet: bool = False,
) -> Comparison:
    """Compare where two networks look, image by image.

    The networks may differ in architecture, but answer the same question: the same classes, on
    images normalised in the same way. Both are left as they were found.

    Args:
        baseline: The network before pruning.
        pruned: The network after pruning, or any other one; either may be a program of
            torch.export or TorchScript, too.
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
        controls: Networks to read the result against, by label: each is compared with the
            baseline by the same measures. The word ``random`` in a network's place
            (``{"random": "random"}``) is the baseline with random weights, what maps have in
            common by chance; the baseline fine-tuned like the pruned network, or another seed's,
            says how far training alone moves them.
        class_names: What the classes are called on the page; their indices by default.
        cost: Count parameters and MACs of both networks and time them in turns, which takes some
            seconds and differs from run to run.
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
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    baseline = to_layers(baseline, "baseline", size)
    pruned = to_layers(pruned, "pruned", size)
    labels = labels_given if labels is None else labels
    if labels is not None:
        labels = read_classes(labels, len(images), "labels").to(images.device)
    check_request(len(images), labels, class_policy, names)
    networks = choose_networks(
        {"baseline": baseline, "pruned": pruned}, controls or {}, images, target_layer, layout
    )
    classes = {
        network.name: predict_logits(network.module, network.name, images[:1], 1).shape[1]
        for network in networks
    }
    check_same_classes(classes)
    check_class_names(class_names, classes["baseline"])
    if labels is not None:
        check_labels(labels, classes["baseline"])
    results = explain_all(networks, images, labels, chosen, class_policy, batch_size, quiet)
    logits = [result.logits for result in results[:2]]
    predictions = [each.argmax(1) for each in logits]
    pairs = pair_maps(results)
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    with counting((len(results) - 1) * len(images) * len(chosen), "maps compared", quiet) as show:
        progress = _add_up(show)
        per_image = tabulate_images(results, size, names, labels, progress)
        scores_of_controls = tabulate_controls(
            results, list(controls or {}), size, labels, progress
        )
    return Comparison(
        scores=average_scores(per_image, pairs),
        per_image=per_image,
        agreement=float((predictions[0] == predictions[1]).double().mean()),
        accuracy=None if labels is None else measure_accuracy(logits, labels),
        layers=(networks[0].layer, networks[1].layer),
        class_policy=class_policy,
        pictures=choose_pictures(per_image, pairs, images, logits, labels),
        uncut=tuple(result.uncut for result in results[:2]),
        about=(SEVERAL,) if labels is not None and labels.dim() == 2 else (),
        warnings=_warn(networks, images, logits),
        withheld=_find_doubt(networks, logits, labels),
        controls=scores_of_controls,
        class_names=tuple(class_names or ()),
        cost=measure_costs(baseline, pruned, images[:batch_size], quiet) if cost else None,
    )


def _add_up(show: Callable[[int], None]) -> Callable[[int], None]:
    """Return a function that is told of each part, for one that is told how much is done."""
    done = 0

    def add(part: int) -> None:
        nonlocal done
        done += part
        show(done)

    return add


def _find_doubt(
    networks: Sequence[ExplainedNetwork], logits: Sequence[Tensor], labels: Tensor | None
) -> str:
    """Say why no verdict can be given; empty if one can."""
    for network in networks[:2]:
        if untrained := describe_statistics(network.module):
            return f"the {network.name} network {untrained}"
    softmax = [are_probabilities(each) for each in logits]
    if softmax[0] != softmax[1]:
        which = networks[0 if softmax[0] else 1].name
        return (
            f"the {which} network ends in a softmax and the other does not, so that probabilities "
            "would be explained in one and logits in the other"
        )
    doubt = "" if labels is None or labels.dim() == 2 else find_doubt(logits[0], labels)
    if not doubt and len(logits[0]) < LEAST_IMAGES:
        return f"{len(logits[0])} images are too few; {LEAST_IMAGES} or more are needed"
    return doubt


def _warn(
    networks: Sequence[ExplainedNetwork], images: Tensor, logits: Sequence[Tensor]
) -> tuple[str, ...]:
    warnings = describe_dependences(networks[:2], images)
    if all(map(are_probabilities, logits)):
        warnings += (
            "both networks end in a softmax: their probabilities are explained, where explanation "
            "methods are defined for logits",
        )
    return warnings
