"""The findings of a comparison of two networks, before they are drawn or written."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from prunebench.comparison.figure import Picture
from prunebench.comparison.verdict import conclude, give_reasons
from prunebench.intervals import Interval


@dataclass(frozen=True)
class Accuracies:
    """Share of images whose true class is predicted; of several labels, share told rightly.

    Attributes:
        baseline: Of the baseline, in [0, 1].
        pruned: Of the pruned network, in [0, 1].
        drop: Baseline's minus pruned network's, with a paired bootstrap interval over images.
    """

    baseline: float
    pruned: float
    drop: Interval


@dataclass(frozen=True)
class ComparedNetworks:
    """The findings of a comparison of two networks.

    Attributes:
        scores: One row an explanation method: the means over images of ``ssim``, ``sam``,
            ``sp2ps`` (with its 95% bootstrap interval over images, ``sp2ps_low`` and
            ``sp2ps_high``), ``iou``, ``soft_iou`` and ``pe_score``; the share of images with a
            negative SSIM; the number of images without a map in either network
            (``undefined``, left out of the means) and the share of empty maps in each; the
            published ``threshold`` and whether the network is ``trusted`` (None: no verdict).
        per_image: One row an image and method, with all measures, the class explained, both
            predictions and whether the prediction was kept or flipped.
        agreement: Share of images for which both networks predict the same class.
        accuracy: Where labels were given.
        layers: The baseline's and the pruned network's target layer.
        class_policy: Whose class was explained.
        pictures: The images whose attention moved most, most first.
        uncut: For both networks, why it could not be cut at its target layer (see ``Tracer``);
            empty where it could.
        about: What was compared, where that is known: models, images.
        warnings: What makes the comparison meaningless, such as random weights.
    """

    scores: pd.DataFrame
    per_image: pd.DataFrame
    agreement: float
    accuracy: Accuracies | None
    layers: tuple[str, str]
    class_policy: str
    pictures: tuple[Picture, ...]
    uncut: tuple[str, ...] = ("", "")
    about: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """The number of images compared."""
        return int(self.per_image["image"].nunique())

    @property
    def verdict(self) -> str:
        """Whether the pruned network still looks where the baseline looked, and why.

        The lower end of the interval of Sp2PS is held against the published threshold of each
        method that has one.
        """
        return " ".join([conclude(self.scores), *give_reasons(self.scores, self.images)])
