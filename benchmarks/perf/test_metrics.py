"""Maps are compared in batches, not one by one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from skimage.metrics import structural_similarity

from prunebench.cams.maps import upsample
from prunebench.metrics.maps import sp2ps
from prunebench.metrics.timing import threads

MAPS = 1000


def test_sp2ps_beside_a_loop_of_ssim(
    in_turns: Callable[..., float], note: Callable[..., None]
) -> None:
    draw = torch.Generator().manual_seed(0)
    before, after = (upsample(torch.rand(MAPS, 8, 8, generator=draw), (32, 32)) for _ in range(2))

    def loop() -> None:
        for one, other in zip(before.numpy(), after.numpy(), strict=True):
            structural_similarity(
                one,
                other,
                data_range=1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )

    with threads(1):  # as the loop has
        ratio = in_turns(lambda: sp2ps(before, after), loop)
    note(f"a loop of scikit-image's SSIM / our Sp2PS, {MAPS:,} maps of 32×32", 1 / ratio, "×")
