"""Training of explanation methods on the images themselves, where there is no training split."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from prunebench.cams.cam import Cam
from prunebench.data import Data, Normalisation, Split
from prunebench.errors import RequestError
from prunebench.networks.evaluation import freeze
from prunebench.networks.trainer import SplitTrainer, draw_batches
from prunebench.networks.training import DivergedError
from prunebench.plugins.context import NOTHING, Context, Prepared
from prunebench.plugins.preparing import compute

FEW = 300
"""Images from which nothing much is learnt."""


class _AsTheyAre(Normalisation):
    """Of images that are normalised already."""

    def __call__(self, pixels: Tensor) -> Tensor:
        return pixels


def learn(
    cams: Iterable[Cam],
    module: nn.Module,
    images: Tensor,
    *,
    seed: int = 0,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> Prepared:
    """Compute what explanation methods prepare, on the images that are to be explained.

    Explaining needs no labels, and so does learning to explain: what is learnt is the network's
    own answer. A few images teach little, though.

    Args:
        cams: Methods; most prepare nothing.
        module: The network. It is left as it was found.
        images: Normalised images, N×C×H×W, on the network's device.
        seed: What is learnt is the same for the same seed.
        progress: ``progress(fraction, text)``.

    Returns:
        For ``explain_batches``.

    Raises:
        RequestError: The network cannot be learnt, or its training diverges.
    """
    preparations = [each for cam in cams for each in cam.prepare()]
    if not preparations:
        return NOTHING
    if len(images) < FEW:
        warnings.warn(
            f"explanation methods that learn have {len(images)} images to learn from; below {FEW} "
            "their maps tell more of the training than of the network",
            stacklevel=3,
        )
    as_they_are = _AsTheyAre((), ())
    with freeze(module), torch.no_grad():
        logits = torch.cat([module(batch) for batch in torch.split(images, 64)])
    shown = Split(images, logits.argmax(1))
    nothing = Split(images[:0], shown.labels[:0])
    names = tuple(map(str, range(logits.shape[1])))
    data = Data(shown, nothing, nothing, names, as_they_are)

    device = images.device
    context = Context(
        example=images[:1],
        batches=draw_batches(shown, as_they_are, seed, device),
        classes=logits.shape[1],
        seed=seed,
        device=device,
        baseline=module,
        train=SplitTrainer(data, as_they_are, seed, device, progress=progress),
        progress=progress,
    )
    try:
        with torch.inference_mode(False), torch.enable_grad():
            return compute(preparations, module, context)
    except (DivergedError, ValueError) as error:  # BatchNorm refuses a batch of one image
        raise RequestError(f"an explanation method could not be trained: {error}") from error
