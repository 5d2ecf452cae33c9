"""How each model's default target layer is read: maps, channels last, or tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prunebench.cams.tracer import trace
from prunebench.models import Model
from prunebench.plugins import choose


def model(name: str) -> Model:
    chosen: Model = choose("models", name).plugin
    return chosen


def with_live_head(network: nn.Module) -> nn.Module:
    """torchvision starts the heads of its transformers at zero."""
    torch.manual_seed(0)
    for weight in network.parameters():
        if weight.dim() == 2 and not weight.any():
            nn.init.normal_(weight)
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "layout"),
    [
        ("torchvision/vit_b_16", "encoder.layers.encoder_layer_11.ln_1", "tokens"),
        ("torchvision/vit_l_32", "encoder.layers.encoder_layer_23.ln_1", "tokens"),
        ("torchvision/swin_t", "permute", "maps"),
        ("torchvision/swin_v2_b", "permute", "maps"),
        ("torchvision/maxvit_t", "blocks.3", "maps"),
        ("torchvision/convnext_tiny", "features", "maps"),
        ("torchvision/resnet18", "layer4", "maps"),
        ("resnet20", "layer3", "maps"),
    ],
)
def test_target_layer_and_layout(name: str, layer: str, layout: str) -> None:
    assert model(name).target_layer() == layer
    assert model(name).layout() == layout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "maps"),
    [
        ("torchvision/vit_b_16", (64, 64), (768, 4, 4)),
        ("torchvision/swin_t", (128, 160), (768, 4, 5)),
        ("torchvision/convnext_tiny", (128, 128), (768, 4, 4)),
    ],
)
def test_maps_have_a_gradient_at_every_place(
    name: str, size: tuple[int, int], maps: tuple[int, int, int]
) -> None:
    chosen = model(name)
    network = with_live_head(chosen.build(5, 3, size))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    seen = trace(network, chosen.target_layer(), images, layout=chosen.layout())
    assert seen.activations.shape == (2, *maps)
    assert seen.gradients.shape == (2, *maps)
    assert seen.gradients.abs().amax(1).min() > 0


@pytest.mark.slow
def test_behind_the_last_attention_patches_of_a_vision_transformer_have_no_gradient() -> None:
    chosen = model("torchvision/vit_b_32")
    network = with_live_head(chosen.build(5, 3, (128, 128)))
    images = torch.randn(1, 3, 128, 128)
    behind = trace(network, "encoder.layers.encoder_layer_11", images, layout="tokens")
    assert not behind.gradients.any()
    explained = trace(network, chosen.target_layer(), images, layout="tokens")
    assert explained.gradients.abs().amax(1).min() > 0


@pytest.mark.slow
def test_a_vision_transformer_is_built_for_the_images_size() -> None:
    network = model("torchvision/vit_b_16").build(5, 3, (48, 48)).eval()
    assert network(torch.zeros(2, 3, 48, 48)).shape == (2, 5)
    assert network.encoder.pos_embedding.shape == (1, 10, 768)
