"""Maps are compared in batches, not one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from prunebench.cams.maps import upsample
from prunebench.metrics import maps, similarity
from prunebench.metrics.timing import threads

PAIRS, LOOPED = 10_000, 500


def pairs(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    before, after = (
        upsample(torch.rand(count, 8, 8, generator=draw), (32, 32)).to(device) for _ in range(2)
    )
    return before, after


def test_ssim_beside_a_loop(
    in_turns: Callable[..., float], note: Callable[..., None], device: torch.device
) -> None:
    before, after = pairs(PAIRS, device)
    looped = [each[:LOOPED].cpu().numpy() for each in (before, after)]

    def loop() -> None:
        for one, other in zip(*looped, strict=True):
            structural_similarity(
                one,
                other,
                data_range=1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )

    with threads(1):  # as the loop has
        ratio = in_turns(lambda: maps.ssim(before, after), loop)
    note(
        f"a loop of scikit-image's SSIM (on the CPU, extrapolated from {LOOPED} pairs) / our SSIM, "
        f"{PAIRS:,} pairs of 32×32, one thread",
        PAIRS / LOOPED / ratio,
        "×",
        "≥ 20 ×",
    )


def test_all_measures_beside_ssim(
    in_turns: Callable[..., float], note: Callable[..., None], device: torch.device
) -> None:
    before, after = pairs(1000, device)
    confidence = torch.linspace(0, 1, len(before), dtype=torch.float64, device=device)
    measures = [
        maps.ssim,
        maps.sam,
        maps.sp2ps,
        maps.iou,
        maps.soft_iou,
        similarity.pearson,
        similarity.spearman,
        similarity.js_divergence,
        similarity.top_overlap,
        similarity.centre_distance,
    ]

    def everything() -> None:
        for measure in measures:
            measure(before, after)
        maps.pe_score(before, after, confidence, confidence)

    with threads(1):
        ratio = in_turns(everything, lambda: maps.ssim(before, after))
    what = f"all {len(measures) + 1} preservation measures / SSIM alone, 1,000 pairs of 32×32"
    note(what, ratio, "×")
