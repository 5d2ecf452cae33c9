"""For tests of your own models: an assertion that pruning kept accuracy and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from prunebench.cams.arguments import Classes, Images
    from prunebench.comparison import Comparison
    from prunebench.comparison.gate import Least

__all__ = ["assert_preserved"]


def assert_preserved(
    baseline: nn.Module,
    pruned: nn.Module,
    images: Images,
    labels: Classes | None = None,
    *,
    sp2ps: Least = 0.9,
    agreement: float | None = None,
    max_drop: float | None = None,
    **options: Any,
) -> Comparison:
    """Assert that a pruned network still looks where its baseline looked.

    What counts is the worse end of the 95% interval over images: give some hundred images.

    Args:
        baseline: The network before pruning.
        pruned: The network after pruning.
        images: Normalised images, as ``compare`` takes them.
        labels: True classes; ``max_drop`` needs them.
        sp2ps: The least Sp2PS by every explanation method, or ``{method: least}``.
        agreement: The least share of images for which both predict the same class.
        max_drop: The most points (of 100) that accuracy may have fallen.
        **options: Further options of ``compare``, such as ``cams`` and ``target_layer``.

    Returns:
        The comparison, for further assertions, or to be saved.

    Raises:
        AssertionError: A condition is not met; one line each.
        RequestError: The networks, images, labels or options do not fit together.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from prunebench.testing import assert_preserved
        >>> layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)]
        >>> model, images = nn.Sequential(*layers).eval(), torch.rand(30, 3, 8, 8)
        >>> found = assert_preserved(model, model, images, sp2ps=0.9, cams=("grad-cam",))
        >>> found.agreement
        1.0
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    from prunebench.comparison.compare import compare
    from prunebench.comparison.gate import list_conditions

    # A bound that is none is refused before anything is computed.
    list_conditions({"sp2ps": sp2ps, "agreement": agreement}, max_drop)
    found = compare(baseline, pruned, images, labels, **{"quiet": True, **options})
    failed = found.check(sp2ps=sp2ps, agreement=agreement, max_drop=max_drop)
    if failed:
        raise AssertionError("\n".join(["the pruned network is not preserved", *failed]))
    return found
