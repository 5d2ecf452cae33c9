"""The explained images of which a network predicts another class than its baseline does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prunebench.record import Changed
from prunebench.recording.pictures import png
from prunebench.recording.predictions import Predictions

MOST = 6


class _Turn(NamedTuple):
    """An image, and what the two networks take it for."""

    image: int
    baseline_class: int
    own_class: int


def find_changed(
    predictions: Predictions, before: Sequence[Changed], *, withheld: bool
) -> tuple[Changed, ...]:
    """Find the images whose class changed, those first of which the network is surest.

    Args:
        predictions: What the network and its baseline predict.
        before: What the record showed when it was written last: the same images are shown again
            without loading the data set.
        withheld: Whether images may not be shown.
    """
    import torch

    if not (turns := list(_list_turns(predictions))):
        return ()
    shown = [_Turn(each.image, each.baseline_class, each.own_class) for each in before]
    if shown == turns and all((each.png is None) == withheld for each in before):
        return tuple(before)
    images, test = torch.tensor([turn.image for turn in turns]), predictions.data.test
    pixels = [None] * len(turns) if withheld else [png(each) for each in test.pixels[images].cpu()]
    labels = test.labels.cpu()[images].tolist()
    return tuple(
        Changed(**turn._asdict(), label=label, png=picture)
        for turn, label, picture in zip(turns, labels, pixels, strict=True)
    )


def _list_turns(predictions: Predictions) -> Iterator[_Turn]:
    """Yield the images of largest margin: of the new class's probability over the old one's."""
    explained, own, baseline = predictions.explained, predictions.own, predictions.baseline
    if explained is None or own is None or baseline is None or own.shape != baseline.shape:
        return
    old, new = baseline[explained].argmax(1), own[explained].argmax(1)
    changed = (old != new).nonzero()[:, 0]
    of_each = own[explained[changed]].double().softmax(1)
    margin = (of_each.gather(1, new[changed, None]) - of_each.gather(1, old[changed, None]))[:, 0]
    # Stable, and the explained images are in order: of equal ones the first comes first.
    for index in changed[margin.argsort(descending=True, stable=True)[:MOST]]:
        yield _Turn(int(explained[index]), int(old[index]), int(new[index]))
