"""timm's networks, and which of their layers is explained."""

from __future__ import annotations

from functools import cache
from typing import Any

import timm
from timm.models import get_pretrained_cfg, list_pretrained
from torch import Tensor, nn

from prunebench.data import Normalisation
from prunebench.models.networks.meta_networks import (
    PROBE_CLASSES,
    build_on_meta,
    count_output_dimensions,
    find_last_maps,
)
from prunebench.networks.layout import Layout


def find_input_size(name: str, weights: str | None = None) -> tuple[int, int]:
    """Find height and width of the images that a network is published for."""
    config = get_pretrained_cfg(f"{name}.{weights}" if weights else name, allow_unregistered=True)
    size = config.input_size if config else (3, 224, 224)
    return size[1], size[2]


def has_fixed_size(name: str) -> bool:
    """Tell whether a network is built for images of one size."""
    config = get_pretrained_cfg(name)
    return bool(config and config.fixed_input_size)


def build(name: str, classes: int, channels: int, size: tuple[int, int]) -> nn.Module:
    """Build an untrained network.

    Args:
        name: timm's name of the network.
        classes: Number of outputs.
        channels: Channels of the images.
        size: Height and width of the images.
    """
    options: dict[str, Any] = {"img_size": size} if has_fixed_size(name) else {}
    network: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=classes, in_chans=channels, **options
    )
    return network


def list_weights(name: str) -> dict[str, str]:
    """List the tags of a network's weights; ``DEFAULT`` stands for the one that timm prefers."""
    tags = [full.partition(".")[2] for full in list_pretrained(f"{name}.*")]
    config = get_pretrained_cfg(name)
    default = {"DEFAULT": str(config.tag)} if config and config.tag in tags else {}
    return {tag: tag for tag in tags} | default


def load_published_weights(name: str, weights: str) -> dict[str, Tensor]:
    """Download (once) and read weights."""
    network: nn.Module = timm.create_model(f"{name}.{weights}", pretrained=True)
    return network.state_dict()


def find_normalisation(name: str, weights: str) -> Normalisation:
    """Find the normalisation that weights were trained with."""
    config: Any = get_pretrained_cfg(f"{name}.{weights}")
    return Normalisation(tuple(config.mean), tuple(config.std))


@cache
def find_target_layer(name: str) -> tuple[str, Layout] | None:
    """Find the layer explained by default, and how its output is read.

    In a network of equal blocks over tokens (ViT, DeiT, DINOv2, BEiT, MLP-Mixer) it is the first
    normalisation of the last block: what is behind the last mixing of patches reaches the logits
    through the class token alone where there is one. Elsewhere it is the last maps before they
    are pooled and classified.

    Args:
        name: timm's name of the network.

    Returns:
        None where neither is found, because the network ends in tokens of another kind.
    """
    size = find_input_size(name)
    try:
        network = build_on_meta(lambda: build(name, PROBE_CLASSES, 3, size))
    except RuntimeError:  # networks that run as they are built cannot be built without numbers
        return None
    blocks = getattr(network, "blocks", None)
    if blocks is not None and hasattr(blocks[-1], "norm1"):
        # Networks with windowed attention (SAM, Hiera) keep the grid: B×h×w×C.
        block = f"blocks.{len(blocks) - 1}.norm1"
        dimensions = count_output_dimensions(network, block, size)
        return (block, "tokens" if dimensions == 3 else "channels-last") if dimensions else None
    # What the network says of its layout is no more than where to look first: the shapes decide.
    says_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")
    for channels_last in (says_last, not says_last):
        if layer := find_last_maps(network, size, channels_last=channels_last):
            return layer, "channels-last" if channels_last else "maps"
    return None
