"""Experiments and records made up for tests of figures drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from synthetic import CONDITIONS, baseline, control, png, record

from prunebench.leaderboard.papers.cards.work import PublishedExperiment
from prunebench.record import Conditions, Heatmap, Record

CAMS = ("grad-cam", "grad-cam++")
GREY, COLOUR = png(np.full((4, 4), 0.5)), png(np.full((4, 4, 3), 0.5))
KEPT = tuple(
    Heatmap(image=image, cam=cam, png=COLOUR if cam is None else GREY)
    for image in (7, 3)
    for cam in (None, *CAMS)
)


def experiment(**changes: Any) -> PublishedExperiment:
    """Two figures of curves and one of heatmaps about the digits."""
    content: dict[str, Any] = {
        "name": "drawn",
        "title": "Figures",
        "source": "figures 1 to 4",
        "suite": "benchmarks/papers/digits.yaml",
        "conditions": {"dataset": "Digits", "model": "Its network"},
        "quantities": {
            "rate": {"title": "rate", "unit": "percent", "ours": "level"},
            "accuracy": {"title": "accuracy", "ours": "accuracy"},
            "maps": {"title": "Sp2PS", "ours": "sp2ps/grad-cam"},
        },
        "curves": [
            {
                "source": f"figure {index}",
                "title": pruner,
                "pruners": [pruner],
                "x": "rate",
                "y": ["accuracy", "maps"],
            }
            for index, pruner in enumerate(("l1-filter", "random-filter"), 1)
        ],
        "heatmaps": {
            "pruners": ["l1-filter", "random-filter"],
            "cams": {"grad-cam": "figure 3", "grad-cam++": "figure 4"},
        },
        "ours": {"datasets": ["digits", "copies"], "models": ["digits-cnn"]},
        "similar": [{"datasets": ["digits"], "models": ["*"], "pruners": ["l1-filter"]}],
    }
    return PublishedExperiment.model_validate(content | changes)


def measured(
    levels: Sequence[float] = (0.2, 0.4, 0.6),
    pruners: Sequence[str] = ("l1-filter", "random-filter"),
    *,
    suite: str = "papers-digits",
    heatmaps: tuple[Heatmap, ...] = KEPT,
    changed: dict[str, Any] | None = None,
    **fields: Any,
) -> list[Record]:
    """A baseline, the control, and the levels of some methods; ``changed`` conditions."""
    conditions = Conditions.model_validate(CONDITIONS.model_dump() | (changed or {}))
    common: dict[str, Any] = {"conditions": conditions, "heatmaps": heatmaps, **fields}
    cams = dict.fromkeys(CAMS, 1.0)
    found = [baseline(0.93, **common | {"sp2ps": cams}), control(cams, 0.92, **common)]
    for index, pruner in enumerate(pruners, 1):
        for level in levels:
            found.append(
                record(
                    pruner,
                    level,
                    accuracy=0.92 - 0.1 * index * level,
                    sp2ps=dict.fromkeys(CAMS, 0.9 - 0.2 * index * level),
                    pruner_name=pruner.partition("(")[0],
                    **common,
                )
            )
    return [one.model_copy(update={"suite": suite}) for one in found]
