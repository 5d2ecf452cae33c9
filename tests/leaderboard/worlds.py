"""Made-up worlds with known answers: pruners whose true preservation a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from synthetic import CONDITIONS, baseline, control, floor, record

from prunebench.leaderboard.board.grid import GRID
from prunebench.record import Record
from prunebench.record.fields import Training

FLOOR = 0.2
NETWORK = "resnet8-of-this-world"


def training(epochs: int = 10, **fields: Any) -> Training:
    """How a baseline of these worlds came to be."""
    fields = {"from_scratch": True, "keep": "last", "images_seen": 1000 * epochs, **fields}
    return Training(epochs=epochs, network=NETWORK, **fields)


def trained_longer(accuracy: float = 0.9, epochs: int = 30) -> Record:
    """The same network trained three times as long: a section of its own."""
    other = CONDITIONS.model_copy(update={"model": "digits-cnn(epochs=30)"})
    return baseline(
        accuracy,
        protocol="longer",
        conditions=other,
        model=other.model,
        training=training(epochs),
    )


def world(
    pruners: Mapping[str, float],
    *,
    seeds: int = 5,
    noise: float | Mapping[str, float] = 0.0,
    block: float = 0.0,
    draw: np.random.Generator | None = None,
    axis: str = "dense",
    levels: Sequence[float] | None = None,
    accuracy: Mapping[str, float] | None = None,
    shown_good: bool = True,
    **common: Any,
) -> list[Record]:
    """All records of one section whose pruners have these scores.

    Args:
        pruners: The true score of each: its Sp2PS at every level.
        seeds: How many.
        noise: Deviation of a pruner's score from seed to seed.
        block: Deviation that all pruners of a seed share.
        draw: Where the noise comes from.
        axis: Dense or masked.
        levels: By default those of the grid.
        accuracy: Of pruners that are not as accurate as the baseline.
        shown_good: Whether a record shows that the baseline is good.
        common: Fields of all records.
    """
    draw = draw or np.random.default_rng(0)
    every = tuple(range(seeds))
    found = [trained_longer()] if shown_good else []
    for seed in every:
        fields: dict[str, Any] = {"seed": seed, "seeds": every, **common}
        shared = draw.normal(0, block) if block else 0.0
        found += [
            baseline(0.9, training=training(), **fields),
            control(0.97, 0.9, **fields),
            floor(FLOOR, **fields),
        ]
        for pruner, score in pruners.items():
            deviation = noise[pruner] if isinstance(noise, Mapping) else noise
            value = score + shared + (draw.normal(0, deviation) if deviation else 0.0)
            found += [
                record(
                    pruner,
                    level,
                    axis=axis,
                    sp2ps=float(np.clip(value, 0, 1)),
                    half_width=0.0,
                    accuracy=(accuracy or {}).get(pruner, 0.9),
                    pruner_name=pruner,
                    **fields,
                )
                for level in levels or GRID["masked" if axis == "masked" else "dense"]
            ]
    return found
