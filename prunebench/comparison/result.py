"""What a comparison of two networks found, and its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from prunebench.comparison.figure import Picture, draw
from prunebench.intervals import Interval
from prunebench.trust import MOST_UNDEFINED, SOURCE, THRESHOLDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLAINED = {
    "baseline": "the class that the baseline predicts, in both networks",
    "label": "the true class, in both networks",
    "own": "each network's own prediction",
}


@dataclass(frozen=True)
class Accuracy:
    """Share of images whose true class is predicted.

    Attributes:
        baseline: Of the baseline, in [0, 1].
        pruned: Of the pruned network, in [0, 1].
        drop: Baseline's minus pruned network's, with a paired bootstrap interval over images.
    """

    baseline: float
    pruned: float
    drop: Interval


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found.

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
    accuracy: Accuracy | None
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
        return " ".join([self._conclusion(), *self._reasons()])

    def _conclusion(self) -> str:
        verdicts = [found for found in self.scores["trusted"] if found is not None]
        if not verdicts:
            return "No verdict."
        if all(verdicts):
            return "Trusted: the pruned network still looks where the baseline looked."
        if any(verdicts):
            return "Divided: the explanation methods disagree on whether attention was preserved."
        return "Not trusted: the pruned network no longer looks where the baseline looked."

    def _reasons(self) -> list[str]:
        return [self._reason(str(cam)) for cam in self.scores.index]

    def _reason(self, cam: str) -> str:
        row = self.scores.loc[cam]
        if cam not in THRESHOLDS:
            return f"{cam}: no threshold was published."
        if row["undefined"] > MOST_UNDEFINED * self.images:
            return f"{cam}: {row['undefined']} of {self.images} images have no map to compare."
        if np.isnan(row["sp2ps_low"]):
            return f"{cam}: too few images."
        relation = "reaches" if row["trusted"] else "stays below"
        return (
            f"{cam}: the lower bound of Sp2PS, {row['sp2ps_low']:.3f}, {relation} "
            f"{row['threshold']:.2f}."
        )

    def to_markdown(self) -> str:
        """The page as markdown, without the figure."""
        base, pruned = self.layers
        layer = f"`{base}`" if base == pruned else f"`{base}` (baseline), `{pruned}` (pruned)"
        lines = [
            "# Does the pruned network still look where it looked?",
            "",
            *(f"**Warning: {warning}.**\n" for warning in self.warnings),
            f"**{self._conclusion()}**",
            "",
            *(f"- {reason}" for reason in self._reasons()),
            "",
            "## Attention preserved",
            "",
            _table(self._score_rows()),
            "",
            "## Predictions",
            "",
            _table(self._prediction_rows()),
            "",
            _table(self._change_rows()),
            "",
            "## How it was measured",
            "",
            *(f"- {line}." for line in self.about),
            f"- {self.images} images; explained: {EXPLAINED[self.class_policy]}; target layer: "
            f"{layer}.",
            "- All scores lie at 1 for maps that are equal. Sp2PS is the harmonic mean of SAM and "
            "SSIM of each image, averaged over images.",
            "- Intervals are 95% bootstrap intervals over images; they say nothing about other "
            "training runs.",
            "- An image is undefined where neither network's map shows anything; it counts in no "
            "mean. Above 5% of such images no verdict is given.",
            f"- Thresholds: {SOURCE}.",
            *(
                f"- The {name} network could not be cut at its target layer, so that methods that "
                f"run it again ran all of it (slower, with the same result): {reason}."
                for name, reason in zip(("baseline", "pruned"), self.uncut, strict=True)
                if reason
            ),
            "",
        ]
        return "\n".join(lines)

    def _score_rows(self) -> list[dict[str, str]]:
        return [
            {
                "method": str(cam),
                "Sp2PS": _number(row["sp2ps"]),
                "95% interval": f"{_number(row['sp2ps_low'])} to {_number(row['sp2ps_high'])}",
                "threshold": _number(row["threshold"], 2),
                "trusted": {True: "yes", False: "no", None: "–"}[row["trusted"]],
                "SSIM": _number(row["ssim"]),
                "SAM": _number(row["sam"]),
                "IoU": _number(row["iou"]),
                "soft IoU": _number(row["soft_iou"]),
                "PE-score": _number(row["pe_score"]),
                "undefined": str(row["undefined"]),
                "empty maps": f"{row['zero_map_fraction_baseline']:.1%} / "
                f"{row['zero_map_fraction_pruned']:.1%}",
            }
            for cam, row in self.scores.iterrows()
        ]

    def _prediction_rows(self) -> list[dict[str, str]]:
        row = {"same prediction": f"{self.agreement:.1%}"}
        if self.accuracy is not None:
            drop = self.accuracy.drop
            row["accuracy of the baseline"] = f"{self.accuracy.baseline:.1%}"
            row["of the pruned network"] = f"{self.accuracy.pruned:.1%}"
            points = [_number(None if x is None else 100 * x, 1) for x in (drop.low, drop.high)]
            row["drop (points)"] = (
                f"{100 * (self.accuracy.baseline - self.accuracy.pruned):.1f} "
                f"({points[0]} to {points[1]})"
            )
        return [row]

    def _change_rows(self) -> list[dict[str, str]]:
        """Sp2PS where the prediction was kept and where it flipped."""
        rows = []
        for change in ("kept", "flipped"):
            part = self.per_image[self.per_image["change"] == change]
            means = part.groupby("cam")["sp2ps"].mean()
            rows.append(
                {"prediction": change, "images": str(part["image"].nunique())}
                | {f"Sp2PS {cam}": _number(means.get(cam)) for cam in self.scores.index}
            )
        return rows

    def figure(self) -> Figure:
        """The images whose attention moved most, each with both networks' maps."""
        return draw(self.pictures)

    def save(self, folder: Path | str) -> Path:
        """Writes comparison.md, comparison.png and per_image.csv.

        Args:
            folder: Where to; made if it is not there.

        Returns:
            The path of comparison.md.
        """
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        self.figure().savefig(root / "comparison.png", dpi=150)
        self.per_image.to_csv(root / "per_image.csv", index=False)
        page = root / "comparison.md"
        shown = (
            "## Where attention moved most\n\n"
            "![Images with the maps of both networks](comparison.png)\n"
        )
        page.write_text(f"{self.to_markdown()}\n{shown}", encoding="utf-8")
        return page


def _number(value: Any, digits: int = 3) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def _table(rows: list[dict[str, str]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
