"""How alike the maps of two networks are: for each image, and on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from prunebench.cams.explained_batches import Explained
from prunebench.cams.maps import upsample
from prunebench.comparison.compared import Accuracies
from prunebench.comparison.figure import Picture
from prunebench.intervals import mean_interval, paired_drop
from prunebench.metrics import maps as metrics
from prunebench.metrics.confidence import confidence
from prunebench.trust import THRESHOLDS, trusted

MEASURES = ("ssim", "sam", "sp2ps", "iou", "soft_iou", "pe_score")
SHOWN = 10
"""Images in the figure."""
CHUNK = 256
"""Images whose maps are held at full size at once."""

Pairs = dict[str, tuple[Tensor, Tensor]]
"""By method the baseline's and the pruned network's maps, N×h×w each."""


def pair_maps(results: Sequence[Explained]) -> Pairs:
    """Return by method the first two networks' maps, N×h×w each."""
    return {cam: (maps, results[1].maps[cam]) for cam, maps in results[0].maps.items()}


def tabulate_images(
    results: Sequence[Explained],
    size: tuple[int, int],
    names: Sequence[str] | None,
    labels: Tensor | None,
    progress: Callable[[int], None] = lambda part: None,
) -> pd.DataFrame:
    """Return one row an image and method; see ``Comparison.per_image``.

    Args:
        results: What was found of the baseline and of the pruned network; others are not read.
        size: Height and width of the images, at which maps are compared.
        names: Names of the images, where they have some.
        labels: True classes, N or N×K, where they are known.
        progress: Called with the number of images that were measured since.
    """
    logits = [result.logits for result in results[:2]]
    before, after = (each.argmax(1) for each in logits)
    if several := labels is not None and labels.dim() == 2:
        logits = [_pair_with_no(each, results[1].classes) for each in logits]
    # Of one class in both networks, which under the policy "own" is the pruned network's.
    explained = torch.ones_like(results[1].classes) if several else results[1].classes
    confidences = [confidence(each, explained) for each in logits]
    columns = {
        "image": range(len(before)),
        **({"name": list(names)} if names is not None else {}),
        **({"label": _list_labels(labels)} if labels is not None else {}),
        "class": results[0].classes.tolist(),
        "prediction_baseline": before.tolist(),
        "prediction_pruned": after.tolist(),
        "change": ["kept" if same else "flipped" for same in (before == after).tolist()],
    }
    return pd.concat(
        [
            pd.DataFrame({**columns, "cam": cam, **_measure(pair, confidences, size, progress)})
            for cam, pair in pair_maps(results).items()
        ],
        ignore_index=True,
    )


def _pair_with_no(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logits of no and yes to one label of each image, N×2: a sigmoid's probability."""
    yes = logits.gather(1, classes[:, None])
    return torch.cat([torch.zeros_like(yes), yes], 1)


def _list_labels(labels: Tensor) -> list[int] | list[str]:
    """List the label of each image, or, of several, their indices with spaces between."""
    if labels.dim() == 1:
        return cast(list[int], labels.tolist())
    return [" ".join(map(str, row.nonzero()[:, 0].tolist())) for row in labels]


def _measure(
    pair: tuple[Tensor, Tensor],
    confidences: Sequence[Tensor],
    size: tuple[int, int],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Return every measure by its name, N numbers each."""
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(pair[0]), CHUNK):
        part = slice(start, start + CHUNK)
        a, b = (upsample(maps[part].double(), size) for maps in pair)
        ssim, sam, iou = metrics.ssim(a, b), metrics.sam(a, b), metrics.iou(a, b)
        sp2ps = metrics.sp2ps_from(sam, ssim)
        pe_score = metrics.pe_score_from(ssim, iou, *(each[part] for each in confidences))
        parts.append((ssim, sam, sp2ps, iou, metrics.soft_iou(a, b), pe_score))
        progress(len(a))
    found = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
    return dict(zip(MEASURES, found, strict=True))


def average_scores(per_image: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """Return one row an explanation method; see ``Comparison.scores``.

    Args:
        per_image: As ``tabulate_images`` made it.
        pairs: The maps it was made of.
    """
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


def measure_accuracy(logits: Sequence[Tensor], labels: Tensor) -> Accuracies:
    """Return how often each network is right.

    Args:
        logits: Of the baseline and the pruned network, N×K each.
        labels: True classes, N; or N×K, where an image counts by the share of labels told rightly.
    """
    if labels.dim() == 1:
        right = [(each.argmax(1) == labels).double() for each in logits]
    else:
        right = [((each > 0) == labels).double().mean(1) for each in logits]
    before, after = (each.cpu().numpy() for each in right)
    return Accuracies(float(before.mean()), float(after.mean()), paired_drop(before, after))


def tabulate_controls(
    results: Sequence[Explained],
    labels_of_controls: Sequence[str],
    size: tuple[int, int],
    labels: Tensor | None,
    progress: Callable[[int], None] = lambda part: None,
) -> pd.DataFrame:
    """Return one row a control and method; see ``Comparison.controls``.

    Args:
        results: What was found of the baseline, the pruned network and the controls, in order.
        labels_of_controls: What the controls are called.
        size: Height and width of the images.
        labels: True classes, N or N×K, where they are known.
        progress: Called with the number of images that were measured since.
    """
    rows = {}
    for label, result in zip(labels_of_controls, results[2:], strict=True):
        pair = (results[0], result)
        same = results[0].logits.argmax(1) == result.logits.argmax(1)
        scores = average_scores(
            tabulate_images(pair, size, None, labels, progress), pair_maps(pair)
        )
        scores["agreement"] = float(same.double().mean())
        right = None if labels is None else measure_accuracy([r.logits for r in pair], labels)
        scores["accuracy"] = np.nan if right is None else right.pruned
        rows[label] = scores
    return pd.concat(rows, names=["control"]) if rows else pd.DataFrame()


def choose_pictures(
    per_image: pd.DataFrame,
    pairs: Pairs,
    images: Tensor,
    logits: Sequence[Tensor],
    labels: Tensor | None,
) -> tuple[Picture, ...]:
    """Return the images whose attention moved most, by the mean of Sp2PS over the methods.

    Args:
        per_image: As ``tabulate_images`` made it.
        pairs: The maps it was made of.
        images: Normalised images, N×C×H×W.
        logits: Of both networks, N×K each.
        labels: True classes, N or N×K, where they are known.
    """
    several = labels is not None and labels.dim() == 2
    shares = [each.sigmoid() if several else each.softmax(1) for each in logits]
    moved = per_image.groupby("image")["sp2ps"].mean().dropna().sort_values(kind="stable")
    size = cast(tuple[int, int], tuple(images.shape[-2:]))
    pictures = []
    for index in map(int, moved.index[:SHOWN]):
        rows = per_image[per_image["image"] == index]
        maps = {
            cam: tuple(upsample(each[index][None], size)[0].cpu().numpy() for each in pair)
            for cam, pair in pairs.items()
        }
        first = rows.iloc[0]
        pictures.append(
            Picture(
                title=str(first["name"]) if "name" in rows else f"#{index}",
                pixels=images[index].detach().float().cpu().numpy(),
                maps=cast(Any, maps),
                sp2ps=dict(zip(rows["cam"], rows["sp2ps"], strict=True)),
                predictions=(int(first["prediction_baseline"]), int(first["prediction_pruned"])),
                confidences=(float(shares[0][index].max()), float(shares[1][index].max())),
                explained=int(first["class"]),
                label=str(first["label"]) if "label" in rows else "",
            )
        )
    return tuple(pictures)
