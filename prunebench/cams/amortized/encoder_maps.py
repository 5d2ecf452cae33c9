"""A convolutional network as an encoder: the last maps it makes at each resolution."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from prunebench.cams.target_layer import find_last_feature_layer, measure_maps
from prunebench.errors import RequestError


def require_maps(module: nn.Module, example: Tensor) -> None:
    """Refuse networks that cannot be an encoder.

    Args:
        module: The network.
        example: A normalised input, B×C×H×W.

    Raises:
        RequestError: It has no maps of at least 2×2, or works on tokens or on maps whose channels
            come last.
    """
    try:
        find_last_feature_layer(module, example, minimum=2)
    except RequestError:
        found = "×".join(map(str, example.shape[-2:]))
        raise RequestError(
            f"amortized explainers read the maps of a convolutional network; for images of "
            f"{found}, {type(module).__name__} has none of at least 2×2 that lead to its output, "
            "or works on tokens or on maps whose channels come last"
        ) from None


def find_stages(module: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Find the layers whose outputs are the features: at each resolution the last to finish.

    Pooling layers are passed over, and maps smaller than 2×2.

    Args:
        module: The network.
        example: A normalised input, B×C×H×W; only its first image is used.

    Returns:
        Names of layers, from the finest maps to the coarsest.

    Raises:
        RequestError: There is no such layer.
    """
    height, width = example.shape[-2:]
    last: dict[tuple[int, int], str] = {}
    for name, (h, w) in measure_maps(module, example, pooling=False).items():
        # What has its channels last is no map of the image's shape.
        if min(h, w) >= 2 and abs(h * width - w * height) <= height + width:
            last[h, w] = name
    if not last:
        require_maps(module, example)
        raise RequestError(f"no maps of {type(module).__name__} have the shape of its images")
    return tuple(last[size] for size in sorted(last, reverse=True))


def read_stages(
    module: nn.Module, images: Tensor, stages: tuple[str, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Run a network once and read what its layers give.

    Args:
        module: The network, in whatever mode it is; hooks on it do their work first.
        images: Normalised images, B×C×H×W.
        stages: Names of layers.

    Returns:
        Logits, B×K, and each layer's output, B×c×h×w, as it was before anything that follows works
        on it in place.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
            found[name] = output.clone()

        return hook

    handles = [module.get_submodule(name).register_forward_hook(keep(name)) for name in stages]
    try:
        logits: Tensor = module(images)
    finally:
        for handle in handles:
            handle.remove()
    return logits, [found[name] for name in stages]
