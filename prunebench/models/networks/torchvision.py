"""torchvision's classification networks, and which of their layers is the last stage of maps."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor, nn
from torchvision.models import VisionTransformer, get_model, get_model_weights

from prunebench.data import Normalisation
from prunebench.models.networks.meta_networks import (
    PROBE_CLASSES,
    build_on_meta,
    find_last_maps,
    pass_shapes,
)
from prunebench.networks.layout import Layout

AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
"""Networks with further classifiers, used in training only: their prefixes in state dicts."""


def build(name: str, classes: int, weights: str | None, size: tuple[int, int]) -> nn.Module:
    """Build an untrained network whose output is one tensor of logits.

    Args:
        name: torchvision's name of the network.
        classes: Number of outputs.
        weights: Name of the weights that will be loaded. Those of networks with auxiliary
            classifiers expect another normalisation, to which the network then converts.
        size: Height and width of the images. A vision transformer is built for one size, and
            takes squares only.
    """
    options: dict[str, Any] = {}
    if name in AUXILIARY:
        options = {"aux_logits": False, "init_weights": True}
        options["transform_input"] = weights is not None
    if name.startswith("vit_"):
        options["image_size"] = size[0]
    network: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    return network


def list_weights(name: str) -> dict[str, str]:
    """List the names of a network's weights; ``DEFAULT`` stands for the best of them."""
    return {key: weights.name for key, weights in get_model_weights(name).__members__.items()}


def load_published_weights(name: str, weights: str) -> dict[str, Tensor]:
    """Download (once) and read weights, without those of auxiliary classifiers."""
    state = get_model_weights(name)[weights].get_state_dict(progress=False, check_hash=True)
    return {k: v for k, v in state.items() if not k.startswith(AUXILIARY.get(name, ()))}


def find_normalisation(name: str, weights: str) -> Normalisation:
    """Find the normalisation that weights were trained with."""
    transforms = get_model_weights(name)[weights].transforms()
    return Normalisation(tuple(transforms.mean), tuple(transforms.std))


def find_refusal(name: str, size: tuple[int, int]) -> str | None:
    """Say why a network cannot take images of this height and width; None if it can."""
    try:
        pass_shapes(build_shapes(name, size), 3, size)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return None


@cache
def find_target_layer(name: str) -> tuple[str, Layout]:
    """Find the layer explained by default, and how its output is read.

    In a vision transformer it is the first normalisation of the last block: what is behind the
    last attention reaches the logits through the class token alone, so that patches have no
    gradient there. In any other network it is the last maps before they are pooled and
    classified, which a Swin transformer's ``permute`` gives, too.

    Args:
        name: torchvision's name of the network.
    """
    size = 224
    network = build_shapes(name, (size, size))
    if isinstance(network, VisionTransformer):
        last = list(dict(network.encoder.layers.named_children()))[-1]
        return f"encoder.layers.{last}.ln_1", "tokens"
    layer = find_last_maps(network, (size, size))
    assert layer is not None
    return layer, "maps"


def build_shapes(name: str, size: tuple[int, int]) -> nn.Module:
    """Build a network's layers and shapes, with neither values nor memory."""
    return build_on_meta(lambda: build(name, PROBE_CLASSES, None, size))
