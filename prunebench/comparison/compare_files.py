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
from prunebench.data import Normalisation, usual_normalisation
from prunebench.datasets.image_files import Encoded, read_image_size
from prunebench.errors import RequestError
from prunebench.input_files import spell
from prunebench.model_files.model_text import ModelText, parse_model
from prunebench.model_files.opened_model import InputShape, OpenedModel, find_channels, open_model
from prunebench.model_files.told import Told, read_told
from prunebench.networks.classifier import make_classifier
from prunebench.networks.distillation import make_translation

DEFAULT_SIZE = (224, 224)


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
    models = parse_model(baseline), parse_model(pruned)
    told = tuple(read_told(model, unsafe_pickle=unsafe_pickle) for model in models)
    if classes is not None and classes < 1:
        raise RequestError(f"{classes} classes; expected 1 or more", where="--classes")
    shape = _read_size(size) if size else told[0].size or told[1].size or DEFAULT_SIZE
    channels = find_channels(models[0], unsafe_pickle=unsafe_pickle)
    grey = mean is not None and "," not in mean
    if grey and channels == 3 and models[0].file is not None:
        raise RequestError(
            f"{mean} is one mean, for grey images, and the baseline takes colour: give three",
            where="--mean",
        )
    given = mean is not None or std is not None
    # What only the pruned network's file tells is taken for both.
    teller = told[0] if told[0].normalisation else told[1]
    seen = _choose_normalisation(teller, channels, mean, std)
    images, names = load_images(data, shape, seen.mean, seen.std, limit)
    inputs = InputShape(images.shape[1], shape, classes or told[0].classes)
    before, after = (_open(model, inputs, unsafe_pickle) for model in models)
    translated = not given and _translate(after.module, seen, told[1])
    classifier = _make_baseline(before.module, images)
    outputs = predict_logits(classifier, "baseline", images[:1], batch_size=1).shape[1]
    labels, about_labels = find_labels(data, names, outputs)
    if labelled and labels is None:
        raise RequestError(NO_LABELS, where=str(data))
    doubts = []

    def load_control(text: str) -> nn.Module:
        model = parse_model(text)
        opened = _open(model, inputs, unsafe_pickle)
        if not given:
            _translate(opened.module, seen, read_told(model, unsafe_pickle=unsafe_pickle))
        if opened.doubt:
            doubts.append(f"the control {text} {opened.doubt}")
        return opened.module

    better = "" if labels is None else check_statistics(classifier, images, labels, seen)
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
            build=lambda: _build_anew(models[0].factory, replace(inputs, classes=outputs)),
        ),
        class_names=None if labels is None else list_folders(data),
        cost=cost,
    )
    numbers = [", ".join(f"{value:g}" for value in values) for values in (seen.mean, seen.std)]
    source = f" ({teller.source})" if teller.normalisation and not given else ""
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
            *(("The pruned network sees them normalised as its own file tells",) * translated),
            about_labels,
        ),
        warnings=found.warnings + tuple(doubts),
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


def _open(model: ModelText, inputs: InputShape, unsafe_pickle: bool) -> OpenedModel:
    return open_model(model, inputs, unsafe_pickle=unsafe_pickle)


def _build_anew(factory: str, inputs: InputShape) -> nn.Module:
    if not factory:
        raise RequestError("a file that holds a whole network cannot build it with other weights")
    return open_model(ModelText(factory), inputs).module


def _choose_normalisation(
    told: Told, channels: int, mean: str | None, std: str | None
) -> Normalisation:
    default = told.normalisation or usual_normalisation(channels)
    return Normalisation(
        default.mean if mean is None else _read_numbers(mean, "--mean"),
        default.std if std is None else _read_numbers(std, "--std"),
    )


def _translate(network: nn.Module, seen: Normalisation, told: Told) -> bool:
    """Let a network see images as it was trained to, where its file tells so; return if it did."""
    own = told.normalisation
    if own is None or own == seen or len(own.mean) != len(seen.mean):
        return False
    translate = make_translation(seen, own)
    network.register_forward_pre_hook(lambda _module, images: (translate(images[0]),))
    return True


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
