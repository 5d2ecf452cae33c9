"""When a pruned network can be trusted to look where its baseline looked."""

from __future__ import annotations

THRESHOLDS = {"grad-cam": 0.95, "ablation-cam": 0.90}
"""The least Sp2PS, by explanation method; none was published for Grad-CAM++."""

SOURCE = (
    "D. Renza, D. Ballesteros: Sp2PS: Pruning Score by Spectral and Spatial Evaluation of CAM "
    "Images. Informatics 10(3), 72 (2023), conclusions; doi:10.3390/informatics10030072"
)

MOST_UNDEFINED = 0.05
"""Share of images with no map in either network above which no verdict is given."""


def trusted(cam: str, low: float | None, undefined_share: float) -> bool | None:
    """Tell whether a pruned network passes the published threshold.

    Args:
        cam: Name of the explanation method.
        low: Lower end of the interval of the mean Sp2PS; None where there is no interval.
        undefined_share: Share of images whose Sp2PS is undefined, in [0, 1].

    Returns:
        None where no verdict can be given: no threshold was published for the method, there is
        no interval, or more than 5% of the images are undefined.
    """
    if cam not in THRESHOLDS or low is None or undefined_share > MOST_UNDEFINED:
        return None
    return low >= THRESHOLDS[cam]
