"""Records made up for tests: every text in them tries to be something else."""

from __future__ import annotations

from typing import Any

import numpy as np
from synthetic import CONDITIONS, png, spot, suite

from prunebench.record import Epoch, Heatmap, Moved, Record, Times, Value

TEXTS = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=1</script>",
    "=cmd|'/c calc'!A0",
    "\"'><svg onload=window.pwned=1>",
    "above\u2028below\u2029end",
    "100% #hash ?q=1&a=b;c",
    "very long " + 400 * "x",
    "\u202egnp.exe\u202c",
    "javascript:window.pwned=1",
    "{{7*7}} ${7*7} `x` $e^x$",
    "&lt;b&gt;&amp;&#39;",
    "../../etc/passwd",
)


def records() -> list[Record]:
    """A suite of three pruners over and over, each time with another text everywhere."""
    found = []
    for number, text in enumerate(TEXTS):
        for record in suite(levels=(0.4, 0.8), protocol=f"p{number}", maps=True, floors=True):
            found.append(_spoilt(record, text))
    return found


def _spoilt(record: Record, text: str) -> Record:
    conditions = CONDITIONS.model_copy(
        update={"dataset": text, "model": text, "target_layer": text, "recovery": {text: text}}
    )
    values = dict(record.values)
    values |= {f"sp2ps/{text}": Value(mean=0.5, low=0.4, high=0.6, interval=text, n=10)}
    values |= {f"{text}/grad-cam": Value(mean=None, reason=text), text: Value(mean=3.0)}
    values |= {"sp2ps_kept/grad-cam": Value(mean=0.9), "sp2ps_flipped/grad-cam": Value(mean=0.3)}
    values |= {"sp2ps_class_0/grad-cam": Value(mean=0.7, low=0.6, high=0.8, n=4)}
    seen = png(spot(16, 0.5, 0.5, 0.2))
    moved = {"image": 7, "sp2ps": 0.1, "baseline_class": 0, "own_class": 1, "png": None}
    changed: dict[str, Any] = {
        "dataset": text,
        "model": text,
        "conditions": conditions,
        "flags": (text,),
        "values": values,
        "heatmaps": (*record.heatmaps, Heatmap(image=3, cam=text, png=seen)),
        "pictures": {text: png(np.zeros((4, 4, 3)))},
        "pictures_withheld": text,
        "classes": (text, f"not {text}"),
        "moved": (Moved(cam=text, before=seen, after=seen, **moved),),
        "times": {text: Times(baseline=(1.0, 1.1, 1.2), network=(0.8, 0.9, 1.3))},
        "curves": {text: (Epoch(epoch=1, loss=1.0, lr=0.1), Epoch(epoch=2, loss=0.5, lr=0.1))},
        "suite_excerpt": {"name": text, text: [text, {text: 1e-3}]},
        "provenance": {text: {text: text}},
        "keys": {text: text},
    }
    if record.role == "compressed":
        changed |= {"pruner": f"{record.pruner} {text}", "pruner_name": f"{record.pruner} {text}"}
    return record.model_copy(update=changed)
