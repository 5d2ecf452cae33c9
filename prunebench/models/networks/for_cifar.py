"""torchvision's networks for ImageNet with less of their downsampling, for small images."""

from __future__ import annotations

from torch import nn
from torchvision.models import MobileNetV2, ResNet, resnet18

MOBILENETV2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),  # its stride is 2 in the paper
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, output channels, blocks, stride of the first block (Sandler et al. 2018, table 2)."""


def build_resnet18(classes: int, channels: int) -> ResNet:
    """Build ResNet-18 with a first convolution of 3×3 and stride 1, without the max-pool after it.

    Args:
        classes: Number of outputs.
        channels: Channels of the input.

    Returns:
        The untrained network; its last maps are an eighth of the image's height and width.
    """
    network = resnet18(num_classes=classes)
    network.conv1 = _make_first_convolution(channels, 64)
    network.maxpool = nn.Identity()
    return network


def build_mobilenet_v2(classes: int, channels: int) -> MobileNetV2:
    """Build MobileNetV2 with stride 1, not 2, in its first convolution and its second stage.

    Args:
        classes: Number of outputs.
        channels: Channels of the input.

    Returns:
        The untrained network; its last maps are an eighth of the image's height and width.
    """
    stages = [list(stage) for stage in MOBILENETV2_STAGES]
    network = MobileNetV2(num_classes=classes, inverted_residual_setting=stages)
    network.features[0][0] = _make_first_convolution(channels, 32)
    return network


def _make_first_convolution(channels: int, outputs: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution
