"""Does a pruned network still look where it looked? Two networks and images in, one page out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, cast, get_args

import pandas as pd
import torch
from torch import Tensor, nn

from prunebench.cams.explained_batches import Explained, explain_batches, split_batches
from prunebench.cams.explaining import CamNames, check_images, choose_cams, choose_layer, learn_on
from prunebench.cams.maps import upsample
from prunebench.comparison.figure import Picture
from prunebench.comparison.result import Accuracy, Comparison
from prunebench.errors import RequestError, did_you_mean
from prunebench.intervals import mean_interval, paired_drop
from prunebench.metrics import maps as metrics
from prunebench.metrics.confidence import confidence
from prunebench.networks.evaluation import predict
from prunebench.networks.layout import Layout
from prunebench.progress import counting
from prunebench.trust import THRESHOLDS, trusted

__all__ = ["Comparison", "compare"]

ClassPolicy = Literal["baseline", "label", "own"]

NETWORKS = ("baseline", "pruned")
MEASURES = ("ssim", "sam", "sp2ps", "iou", "soft_iou", "pe_score")
SHOWN = 10
"""Images in the figure."""
CHUNK = 256
"""Images whose maps are held at full size at once."""


def compare(
    baseline: nn.Module,
    pruned: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    cams: CamNames = ("grad-cam", "grad-cam++", "ablation-cam"),
    target_layer: str | tuple[str | None, str | None] | None = None,
    class_policy: ClassPolicy = "baseline",
    *,
    names: Sequence[str] | None = None,
    batch_size: int = 64,
    layout: Layout | tuple[Layout, Layout] = "maps",
    quiet: bool = False,
) -> Comparison:
    """Compares where two networks look, image by image.

    The networks may differ in architecture, but answer the same question: the same classes, on
    images normalised in the same way. Both are left as they were found.

    Args:
        baseline: The network before pruning.
        pruned: The network after pruning (or any other one).
        images: Normalised images, N×C×H×W.
        labels: True classes, N; for accuracies and ``class_policy="label"``.
        cams: Explanation methods, by name.
        target_layer: Name of the layer that is explained, one for both networks or
            (baseline's, pruned's); by default each network's own last convolutional stage.
        class_policy: Whose class is explained: the baseline's prediction in both networks, the
            true label, or each network's own prediction (then two maps may answer two
            different questions).
        names: Names of the images for the page; their indices by default.
        batch_size: Images a batch; it changes nothing but speed and memory.
        layout: How the target layer's output is read as maps (see ``explain``), one for both
            networks or (baseline's, pruned's).
        quiet: Show no progress.

    Raises:
        RequestError: The networks, images, labels or options do not fit together.
    """
    chosen = choose_cams(cams)
    _check(images, labels, class_policy, names)
    layouts = layout if isinstance(layout, tuple) else (layout, layout)
    modules = (baseline, pruned)
    outputs = [
        logits_of(module, name, images[:1], 1).shape[1]
        for module, name in zip(modules, NETWORKS, strict=True)
    ]
    layers = _layers(modules, target_layer, layouts, images)
    if outputs[0] != outputs[1]:
        raise RequestError(
            f"the baseline tells {outputs[0]} classes apart and the pruned network "
            f"{outputs[1]}; only networks with the same classes can be compared"
        )
    if labels is not None:
        labels = _check_labels(labels, len(images), outputs[0]).to(images.device)
    prepared = [learn_on(images, module, chosen, quiet) for module in modules]
    results: list[Explained] = []
    with counting(2 * len(images), "images explained", quiet) as progress:
        for place, (module, layer, read_as) in enumerate(
            zip(modules, layers, layouts, strict=True)
        ):
            classes = labels if class_policy == "label" else None
            if class_policy == "baseline" and results:
                classes = results[0].classes
            found = explain_batches(
                module,
                layer,
                split_batches(images, classes, batch_size),
                chosen,
                layout=read_as,
                prepared=prepared[place],
                # As in a suite, each network draws random maps of its own.
                seed=place,
                progress=partial(_further, progress, place * len(images)),
            )
            _check_finite(found.logits, NETWORKS[place])
            results.append(found)
    logits = [result.logits for result in results]
    predictions = [each.argmax(1) for each in logits]
    explained = [result.classes for result in results]
    # Of one class in both networks, which under the policy "own" is the pruned network's.
    confidences = [confidence(each, explained[1]) for each in logits]
    pairs = {cam: (results[0].maps[cam], results[1].maps[cam]) for cam in chosen}
    about = {
        "image": range(len(images)),
        **({"name": list(names)} if names is not None else {}),
        **({"label": labels.tolist()} if labels is not None else {}),
        "class": explained[0].tolist(),
        "prediction_baseline": predictions[0].tolist(),
        "prediction_pruned": predictions[1].tolist(),
    }
    kept = predictions[0] == predictions[1]
    about["change"] = ["kept" if same else "flipped" for same in kept.tolist()]
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    per_image = pd.concat(
        [
            pd.DataFrame({**about, "cam": cam, **_measure(pair, confidences, size)})
            for cam, pair in pairs.items()
        ],
        ignore_index=True,
    )
    return Comparison(
        scores=_scores(per_image, pairs),
        per_image=per_image,
        agreement=float(kept.double().mean()),
        accuracy=None if labels is None else _accuracy(predictions, labels),
        layers=layers,
        class_policy=class_policy,
        pictures=_pictures(per_image, pairs, images),
        uncut=tuple(result.uncut for result in results),
    )


def _further(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)


def _check(
    images: Tensor, labels: Tensor | None, class_policy: str, names: Sequence[str] | None
) -> None:
    check_images(images)
    policies = get_args(ClassPolicy)
    if class_policy not in policies:
        raise RequestError(
            f"unknown class policy {class_policy!r}; {did_you_mean(class_policy, policies)}"
        )
    if class_policy == "label" and labels is None:
        raise RequestError("class policy 'label' explains the true class; labels are needed")
    if names is not None and len(names) != len(images):
        raise RequestError(f"{len(names)} names for {len(images)} images; expected one an image")


def _check_labels(labels: Tensor, images: int, classes: int) -> Tensor:
    if labels.shape != (images,):
        raise RequestError(
            f"labels are {tuple(labels.shape)}; expected one for each of {images} images"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise RequestError(
            f"label {wrong[0].item()} does not exist: the networks have {classes} classes"
        )
    return labels.to(torch.int64)


def _layers(
    modules: tuple[nn.Module, nn.Module],
    target_layer: str | tuple[str | None, str | None] | None,
    layouts: tuple[Layout, Layout],
    images: Tensor,
) -> tuple[str, str]:
    wanted = (
        target_layer if isinstance(target_layer, tuple | list) else (target_layer, target_layer)
    )
    if len(wanted) != 2:
        raise RequestError(
            f"{len(wanted)} target layers; expected one name, or the baseline's and the pruned "
            "network's"
        )
    found = []
    for module, name, layer, layout in zip(modules, NETWORKS, wanted, layouts, strict=True):
        try:
            found.append(choose_layer(module, layer, images, layout))
        except RequestError as error:
            raise RequestError(error.message, where=f"{name} network") from None
    return found[0], found[1]


def logits_of(module: nn.Module, name: str, images: Tensor, batch_size: int) -> Tensor:
    """Logits of a network, N×K.

    Args:
        module: The network.
        name: What a message calls it: ``baseline`` or ``pruned``.
        images: Normalised images, N×C×H×W.
        batch_size: Images a batch.

    Raises:
        RequestError: It cannot take these images, or returns no logits.
    """
    where = f"{name} network"
    try:
        logits = predict(module, images, batch_size)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        shape = "×".join(map(str, images.shape[1:]))
        raise RequestError(f"cannot take images of {shape}: {error}", where=where) from error
    if logits.dim() != 2:
        raise RequestError(f"gives {tuple(logits.shape)}; expected logits, N×K", where=where)
    _check_finite(logits, name)
    return logits


def _check_finite(logits: Tensor, name: str) -> None:
    if not logits.isfinite().all():
        raise RequestError(
            "gives logits that are not finite (NaN or infinite)", where=f"{name} network"
        )


def _measure(
    pair: tuple[Tensor, Tensor], confidences: Sequence[Tensor], size: tuple[int, int]
) -> dict[str, Any]:
    """Every measure of every image: name to N numbers."""
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(pair[0]), CHUNK):
        part = slice(start, start + CHUNK)
        a, b = (upsample(maps[part].double(), size) for maps in pair)
        ssim, sam, iou = metrics.ssim(a, b), metrics.sam(a, b), metrics.iou(a, b)
        sp2ps = metrics.sp2ps_from(sam, ssim)
        pe_score = metrics.pe_score_from(ssim, iou, *(each[part] for each in confidences))
        parts.append((ssim, sam, sp2ps, iou, metrics.soft_iou(a, b), pe_score))
    found = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
    return dict(zip(MEASURES, found, strict=True))


def _scores(per_image: pd.DataFrame, pairs: dict[str, tuple[Tensor, Tensor]]) -> pd.DataFrame:
    rows = {}
    for cam, (a, b) in pairs.items():
        values = per_image[per_image["cam"] == cam]
        interval = mean_interval(values["sp2ps"].to_numpy())
        empty = [float((~maps.flatten(1).any(1)).double().mean()) for maps in (a, b)]
        rows[cam] = {
            **{name: values[name].mean() for name in MEASURES},
            "sp2ps_low": interval.low,
            "sp2ps_high": interval.high,
            "ssim_negative": float((values["ssim"] < 0).mean()),
            "undefined": interval.undefined,
            "zero_map_fraction_baseline": empty[0],
            "zero_map_fraction_pruned": empty[1],
            "threshold": THRESHOLDS.get(cam),
            "trusted": trusted(cam, interval.low, interval.undefined / len(values)),
        }
    scores = pd.DataFrame.from_dict(rows, orient="index").rename_axis("cam")
    numbers = ["sp2ps_low", "sp2ps_high", "threshold"]
    return scores.astype(dict.fromkeys(numbers, float)).astype({"trusted": object})


def _accuracy(predictions: Sequence[Tensor], labels: Tensor) -> Accuracy:
    right = [(each == labels).double().cpu().numpy() for each in predictions]
    drop = paired_drop(right[0], right[1])
    return Accuracy(float(right[0].mean()), float(right[1].mean()), drop)


def _pictures(
    per_image: pd.DataFrame, pairs: dict[str, tuple[Tensor, Tensor]], images: Tensor
) -> tuple[Picture, ...]:
    """The images whose attention moved most, by the mean of Sp2PS over the methods."""
    moved = per_image.groupby("image")["sp2ps"].mean().dropna().sort_values(kind="stable")
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    pictures = []
    for index in map(int, moved.index[:SHOWN]):
        rows = per_image[per_image["image"] == index]
        maps = {
            cam: tuple(upsample(each[index][None], size)[0].cpu().numpy() for each in pair)
            for cam, pair in pairs.items()
        }
        pictures.append(
            Picture(
                title=str(rows["name"].iloc[0]) if "name" in rows else f"#{index}",
                pixels=images[index].detach().float().cpu().numpy(),
                maps=cast(Any, maps),
                sp2ps=dict(zip(rows["cam"], rows["sp2ps"], strict=True)),
                predictions=(
                    int(rows["prediction_baseline"].iloc[0]),
                    int(rows["prediction_pruned"].iloc[0]),
                ),
            )
        )
    return tuple(pictures)
