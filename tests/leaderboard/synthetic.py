"""Records made up for tests: plausible in form, with numbers that a test chooses."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from prunebench.record import Conditions, Heatmap, Reached, Record, Value, slug

CONDITIONS = Conditions(
    dataset="digits",
    data_digest="0123456789abcdef",
    model="digits-cnn",
    recovery={"epochs": 2, "lr": 1e-3},
    explained_images=500,
    class_policy="baseline",
    target_layer="features.5",
    device="cpu",
    precision="float32",
)


def record(
    pruner: str = "l1-filter",
    level: float | None = 0.5,
    *,
    role: str = "compressed",
    axis: str = "dense",
    reached: float | None = None,
    accuracy: float = 0.9,
    sp2ps: Mapping[str, float | None] | float = 0.9,
    half_width: float = 0.01,
    seed: int = 0,
    seeds: Sequence[int] = (0,),
    protocol: str = "p1",
    values: Mapping[str, Value] | None = None,
    **fields: Any,
) -> Record:
    """One record; ``sp2ps`` for Grad-CAM or by method, ``reached`` on its own axis."""
    removed = (level or 0.0) if reached is None else reached
    by_cam = sp2ps if isinstance(sp2ps, Mapping) else {"grad-cam": sp2ps}
    dense = axis == "dense"
    named = {
        "accuracy": Value(
            mean=accuracy,
            low=accuracy - 0.02,
            high=min(1.0, accuracy + 0.02),
            interval="bootstrap over images",
            n=500,
        ),
        "params": Value(mean=10_000 * (1 - removed if dense else 1)),
        "macs": Value(mean=2_000_000 * (1 - removed if dense else 1)),
    }
    for cam, mean in by_cam.items():
        named[f"sp2ps/{cam}"] = (
            Value(mean=None, reason="both maps are zero", undefined=500)
            if mean is None
            else Value(
                mean=mean,
                low=mean - half_width,
                high=mean + half_width,
                interval="bootstrap over images",
                n=500,
            )
        )
    given = fields.pop("conditions", CONDITIONS)
    name = slug(f"{protocol}-{role}-{pruner}-{axis}-{level}-{fields.get('round')}-s{seed}")
    return Record(
        id=fields.pop("id", name[:180]),
        suite="quick",
        role=role,
        protocol=protocol,
        conditions=given,
        dataset=fields.pop("dataset", given.dataset),
        model=fields.pop("model", given.model),
        pruner=pruner,
        pruner_name=fields.pop("pruner_name", "l1-filter"),
        level=level,
        seed=seed,
        seeds=tuple(seeds),
        axis=axis,
        reached=fields.pop(
            "place",
            Reached(
                weights=removed,
                params=removed if dense else 0,
                channels=removed if dense else 0,
                macs=removed if dense else 0,
            ),
        ),
        values={**named, **(values or {})},
        **fields,
    )


def baseline(accuracy: float = 0.9, **fields: Any) -> Record:
    """The untouched baseline."""
    return record(
        "baseline",
        None,
        role="baseline",
        axis="none",
        accuracy=accuracy,
        **{"sp2ps": 1.0, "half_width": 0.0, **fields},
    )


def control(
    sp2ps: Mapping[str, float | None] | float = 1.0, accuracy: float = 0.9, **fields: Any
) -> Record:
    """The ``none`` control."""
    return record(
        "none",
        None,
        role="control",
        axis="none",
        sp2ps=sp2ps,
        accuracy=accuracy,
        **{"pruner_name": "none", **fields},
    )


def floor(sp2ps: Mapping[str, float | None] | float = 0.2, **fields: Any) -> Record:
    """The same architecture with random weights: only values that compare maps."""
    found = record(
        "random-weights",
        None,
        role="floor",
        axis="none",
        sp2ps=sp2ps,
        pruner_name="random-weights",
        **fields,
    )
    compared = {name: value for name, value in found.values.items() if "/" in name}
    return found.model_copy(update={"values": compared})


def png(pixels: np.ndarray[Any, Any]) -> str:
    """Pixels in [0, 1], H×W or H×W×3, as base64 PNG."""
    buffer = io.BytesIO()
    Image.fromarray((255 * np.clip(pixels, 0, 1)).round().astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def spot(size: int, x: float, y: float, width: float) -> np.ndarray[Any, Any]:
    """A round spot of light, size×size, in [0, 1]; places and width as fractions."""
    at = (np.arange(size) + 0.5) / size
    return np.asarray(np.exp(-((at[None, :] - x) ** 2 + (at[:, None] - y) ** 2) / (2 * width**2)))


def suite(
    pruners: Sequence[str] = ("l1-filter", "random-filter", "l1-unstructured"),
    levels: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
    seeds: Sequence[int] = (0,),
    *,
    protocol: str = "p1",
    maps: bool = False,
    floors: bool = False,
) -> list[Record]:
    """All records of a small suite, with every column of the board filled."""
    # Without floors it is as suites were before there were any.
    cams = {"grad-cam": 0.0, "grad-cam++": 0.02, "ablation-cam": -0.02}
    found = []
    for seed in seeds:
        common: dict[str, Any] = {"seed": seed, "seeds": seeds, "protocol": protocol}

        def heatmaps(shift: float, spread: float) -> tuple[Heatmap, ...]:
            if not maps:
                return ()
            face = 0.15 + 0.75 * spot(32, 0.4, 0.45, 0.16)
            picture = np.stack([face, 0.8 * face, 0.3 + 0.4 * face], axis=-1)
            seen = spot(32, 0.4 + shift, 0.45 + shift / 2, 0.14 + spread)
            shown = [Heatmap(image=3, cam=None, png=png(picture))]
            return (*shown, *(Heatmap(image=3, cam=cam, png=png(seen)) for cam in cams))

        found.append(
            baseline(
                0.93,
                **common,
                heatmaps=heatmaps(0, 0),
                values=_costs(0, 1.0, 1.0),
                sp2ps=dict.fromkeys(cams, 1.0),
            )
        )
        found.append(
            control(
                {cam: 0.97 + 0.5 * more for cam, more in cams.items()},
                0.931,
                **common,
                heatmaps=heatmaps(0.01, 0),
                values=_costs(0, 1.0, 0.97),
                images_seen=2_400,
            )
        )
        if floors:
            found.append(
                floor(
                    {cam: 0.21 + more + 0.003 * seed for cam, more in cams.items()},
                    **common,
                    heatmaps=heatmaps(0.4, 0.2),
                    values={"pe_score/grad-cam": Value(mean=0.1)},
                )
            )
        for index, pruner in enumerate(pruners):
            axis = "masked" if "unstructured" in pruner else "dense"
            harm = 0.5 + 0.6 * index
            for level in levels:
                loss = harm * level**2
                wobble = 0.004 * math.sin(7 * seed + index + 9 * level)
                drop = 0.09 * loss**2 + wobble
                mean = 0.97 - 0.25 * loss + wobble
                speed = 1.02 if axis == "masked" else 1 - 0.4 * level
                found.append(
                    record(
                        pruner,
                        level,
                        axis=axis,
                        reached=round(0.97 * level, 3),
                        accuracy=0.93 - drop,
                        sp2ps={cam: mean + more for cam, more in cams.items()},
                        pruner_name=pruner,
                        heatmaps=heatmaps(0.3 * loss, 0.12 * loss),
                        values=_costs(level if axis == "dense" else 0, speed, mean - 0.05),
                        images_seen=2_400,
                        **common,
                    )
                )
    return found


def _costs(removed: float, speed: float, pe_score: float) -> dict[str, Value]:
    return {
        "latency_cpu_b1_ms": Value(mean=1.3 * speed, measured=True),
        "latency_cpu_b1_ratio": Value(
            mean=speed, low=speed - 0.03, high=speed + 0.03, interval="quartiles", measured=True
        ),
        "params": Value(mean=273_258 * (1 - removed)),
        "macs": Value(mean=41_200_000 * (1 - removed)),
        "pe_score/grad-cam": Value(mean=pe_score),
        "pe_score/ablation-cam": Value(mean=pe_score - 0.02),
    }
