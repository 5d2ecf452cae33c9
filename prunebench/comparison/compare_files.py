"""``compare`` for models in files and images in a folder: what the command line asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from prunebench.comparison.baseline_check import check_statistics
from prunebench.comparison.checks import predict_logits
from prunebench.comparison.compare import Comparison, compare
from prunebench.comparison.controls import load_controls
from prunebench.comparison.folder_labels import find_labels, list_folders
from prunebench.comparison.gate import NO_LABELS
from prunebench.comparison.image_folder import SUFFIXES, load_images
from prunebench.comparison.input_options import choose_size, choose_statistics
from prunebench.comparison.model_opener import ModelOpener
from prunebench.datasets.image_files import Encoded, read_image_size
from prunebench.errors import RequestError
from prunebench.input_files import spell
from prunebench.model_files.model_text import parse_model
from prunebench.model_files.opened_model import InputShape, OpenedModel, find_channels
from prunebench.model_files.told import read_told
from prunebench.networks.classifier import make_classifier


def compare_files(
    baseline: str,
    pruned: str,
    data: Path,
    *,
    classes: int | None = None,
    size: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    target_layer: str | None = None,
    cams: tuple[str, ...] = ("grad-cam", "grad-cam++", "ablation-cam"),
    class_policy: str = "baseline",
    limit: int | None = None,
    unsafe_pickle: bool = False,
    controls: Sequence[str] = (),
    cost: bool = False,
    labelled: bool = False,
) -> Comparison:
    """Compare two models given as ``FACTORY[@WEIGHTS]``, or as files that hold whole networks.

    Args:
        baseline: The model before compression.
        pruned: The model after compression.
        data: A folder of images. Where its subfolders are as many as classes, they are labels.
        classes: Number of outputs; by default read off the weights, else 1000.
        size: ``224``, or height and width as ``224x160``; by default what is told beside the
            baseline's weights, else 224.
        mean: Channel means, separated by commas; by default those told beside the baseline's
            weights or by its plugin, else ImageNet's, or 0.5 for grey images.
        std: Channel deviations, likewise.
        target_layer: A layer, or the baseline's and the pruned model's, separated by a comma.
        cams: Explanation methods.
        class_policy: ``baseline``, ``label`` or ``own``.
        limit: Images at most.
        unsafe_pickle: Read whole pickles.
        controls: ``random``, or ``LABEL=MODEL``; see ``compare``.
        cost: Count and time both networks.
        labelled: Refuse images without labels.

    Raises:
        RequestError: Models, weights, images or options do not fit together.
    """
    if classes is not None and classes < 1:
        raise RequestError(f"{classes} classes; expected 1 or more", where="--classes")
    models = parse_model(baseline), parse_model(pruned)
    told = [read_told(model, unsafe_pickle=unsafe_pickle) for model in models]
    shape = choose_size(size, told)
    # What only the pruned network's file tells is taken for both.
    teller = told[0] if told[0].normalisation else told[1]
    channels = find_channels(models[0], unsafe_pickle=unsafe_pickle)
    seen = choose_statistics(mean, std, teller, channels)
    asked = mean is not None or std is not None
    images, names = load_images(data, shape, seen.mean, seen.std, limit)
    inputs = InputShape(images.shape[1], shape, classes or told[0].classes)
    opener = ModelOpener(seen, inputs, asked, unsafe_pickle)
    before, after = (opener.open(model) for model in models)
    classifier = _make_baseline(before.module, images)
    outputs = predict_logits(classifier, "baseline", images[:1], batch_size=1).shape[1]
    labels, about_labels = find_labels(data, names, outputs)
    if labelled and labels is None:
        raise RequestError(NO_LABELS, where=str(data))
    better = "" if labels is None else check_statistics(classifier, images, labels, seen)
    opened: dict[str, OpenedModel] = {}

    def load_control(text: str) -> nn.Module:
        opened[text] = opener.open(parse_model(text))
        return opened[text].module

    found = compare(
        before.module,
        after.module,
        images,
        labels=labels,
        cams=cams,
        target_layer=_read_layers(target_layer, before, after),
        layout=(before.layout, after.layout),
        class_policy=class_policy,  # type: ignore[arg-type]  # compare checks it
        names=names,
        controls=load_controls(
            controls,
            before.module,
            load=load_control,
            build=lambda: opener.build_anew(models[0].factory, outputs),
        ),
        class_names=None if labels is None else list_folders(data),
        cost=cost,
    )
    numbers = [", ".join(f"{value:g}" for value in values) for values in (seen.mean, seen.std)]
    source = f" ({teller.source})" if teller.normalisation and not asked else ""
    return replace(
        found,
        about=(
            f"Baseline: `{baseline}`; pruned: `{pruned}`",
            *(
                f"{name} network: {note}"
                for name, model in (("Baseline", before), ("Pruned", after))
                for note in model.notes
            ),
            f"Images: `{data}`, resized to {shape[0]}×{shape[1]}, mean {numbers[0]}, deviation "
            f"{numbers[1]}{source}",
            about_labels,
        ),
        warnings=found.warnings
        + tuple(f"the control {text} {each.doubt}" for text, each in opened.items() if each.doubt),
        withheld=_find_doubt(before, after) or better or _name_size(found.withheld, shape, data),
    )


def _name_size(withheld: str, shape: tuple[int, int], data: Path) -> str:
    """Add how large the images are, where they are shown much larger or smaller."""
    first = next(path for path in sorted(data.rglob("*")) if path.suffix.lower() in SUFFIXES)
    height, width = read_image_size(Encoded(first, spell(first)))
    if not withheld or 0.5 <= min(height, width) / min(shape) <= 4:
        return withheld
    return (
        f"{withheld}; images are shown at {shape[0]}×{shape[1]}, and are {height}×{width}: "
        "see --size"
    )


def _find_doubt(before: OpenedModel, after: OpenedModel) -> str:
    """Say which network is not trained; empty if none."""
    doubts = {"baseline": before.doubt, "pruned network": after.doubt}
    return next((f"the {name} {doubt}" for name, doubt in doubts.items() if doubt), "")


def _read_layers(
    text: str | None, before: OpenedModel, after: OpenedModel
) -> tuple[str | None, str | None]:
    layers = tuple(text.split(",")) if text else ()
    if len(layers) > 2:
        raise RequestError(f"{text!r} names more than two layers", where="--target-layer")
    return (layers[0], layers[-1]) if layers else (before.target_layer, after.target_layer)


def _make_baseline(baseline: nn.Module, images: Tensor) -> nn.Module:
    try:
        return make_classifier(baseline, images)
    except RequestError as error:
        raise RequestError(error.message, where="baseline network") from error.__cause__
