"""The page of a comparison: verdict, tables and how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tabulate import tabulate

from prunebench.comparison.verdict import conclude, give_reasons
from prunebench.trust import SOURCE

if TYPE_CHECKING:
    from prunebench.comparison.compared import ComparedNetworks

EXPLAINED = {
    "baseline": "the class that the baseline predicts, in both networks",
    "label": "the true class, in both networks",
    "own": "each network's own prediction",
}


def write_page(found: ComparedNetworks) -> str:
    """Return the page of a comparison as markdown, without the figure."""
    base, pruned = found.layers
    layer = f"`{base}`" if base == pruned else f"`{base}` (baseline), `{pruned}` (pruned)"
    lines = [
        "# Does the pruned network still look where it looked?",
        "",
        *(f"**Warning: {warning}.**\n" for warning in found.warnings),
        f"**{conclude(found.scores)}**",
        "",
        *(f"- {reason}" for reason in give_reasons(found.scores, found.images)),
        "",
        "## Attention preserved",
        "",
        _format_table(_make_score_rows(found)),
        "",
        "## Predictions",
        "",
        _format_table(_make_prediction_rows(found)),
        "",
        _format_table(_make_change_rows(found)),
        "",
        "## How it was measured",
        "",
        *(f"- {line}." for line in found.about),
        f"- {found.images} images; explained: {EXPLAINED[found.class_policy]}; target layer: "
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
            for name, reason in zip(("baseline", "pruned"), found.uncut, strict=True)
            if reason
        ),
        "",
    ]
    return "\n".join(lines)


def _make_score_rows(found: ComparedNetworks) -> list[dict[str, str]]:
    return [
        {
            "method": str(cam),
            "Sp2PS": _format_number(row["sp2ps"]),
            "95% interval": " to ".join(
                _format_number(row[end]) for end in ("sp2ps_low", "sp2ps_high")
            ),
            "threshold": _format_number(row["threshold"], 2),
            "trusted": {True: "yes", False: "no", None: "–"}[row["trusted"]],
            "SSIM": _format_number(row["ssim"]),
            "SAM": _format_number(row["sam"]),
            "IoU": _format_number(row["iou"]),
            "soft IoU": _format_number(row["soft_iou"]),
            "PE-score": _format_number(row["pe_score"]),
            "undefined": str(row["undefined"]),
            "empty maps": f"{row['zero_map_fraction_baseline']:.1%} / "
            f"{row['zero_map_fraction_pruned']:.1%}",
        }
        for cam, row in found.scores.iterrows()
    ]


def _make_prediction_rows(found: ComparedNetworks) -> list[dict[str, str]]:
    row = {"same prediction": f"{found.agreement:.1%}"}
    if found.accuracy is not None:
        drop = found.accuracy.drop
        row["accuracy of the baseline"] = f"{found.accuracy.baseline:.1%}"
        row["of the pruned network"] = f"{found.accuracy.pruned:.1%}"
        points = [_format_number(None if x is None else 100 * x, 1) for x in (drop.low, drop.high)]
        row["drop (points)"] = (
            f"{100 * (found.accuracy.baseline - found.accuracy.pruned):.1f} "
            f"({points[0]} to {points[1]})"
        )
    return [row]


def _make_change_rows(found: ComparedNetworks) -> list[dict[str, str]]:
    """Return Sp2PS where the prediction was kept and where it flipped."""
    rows = []
    for change in ("kept", "flipped"):
        part = found.per_image[found.per_image["change"] == change]
        means = part.groupby("cam")["sp2ps"].mean()
        rows.append(
            {"prediction": change, "images": str(part["image"].nunique())}
            | {f"Sp2PS {cam}": _format_number(means.get(cam)) for cam in found.scores.index}
        )
    return rows


def _format_number(value: Any, digits: int = 3) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def _format_table(rows: list[dict[str, str]]) -> str:
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
