"""The findings of a comparison of two networks, before they are drawn or written."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from prunebench.comparison.costs import ComparedCosts
from prunebench.comparison.figure import Picture
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
        warnings: What makes the comparison doubtful, such as maps that depend on chance.
        withheld: Why no verdict is given, such as a baseline that was never trained; empty where
            one is.
        controls: One row a control and explanation method: how alike the control's maps are to the
            baseline's, with the columns of ``scores``, the share of equal predictions
            (``agreement``) and the control's ``accuracy``. Empty where there are none.
        class_names: What the classes are called; empty where not known.
        cost: What both networks cost, where that was measured.
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
    withheld: str = ""
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    class_names: tuple[str, ...] = ()
    cost: ComparedCosts | None = None

    @property
    def images(self) -> int:
        """The number of images compared."""
        return int(self.per_image["image"].nunique())

    def name_class(self, index: int) -> str:
        """Return the name of a class, or ``class 3`` where it has none."""
        return self.class_names[index] if self.class_names else f"class {index}"
