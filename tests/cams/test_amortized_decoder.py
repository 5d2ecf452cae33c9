"""The decoder of the amortized explainers, and the networks it can read."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from networks import channels_last, plain, prune, settle
from torch import nn
from torchvision import models

from prunebench.cams.amortized.decoder import Decoder, load_decoder
from prunebench.cams.amortized.encoder_maps import find_stages, read_stages, require_maps
from prunebench.cams.amortized.options import Masks
from prunebench.conformance.networks import Awkward
from prunebench.errors import RequestError
from prunebench.plugins import choose


def small_resnet() -> nn.Module:
    module: nn.Module = choose("models", "resnet20").plugin.build(10, 3, (32, 32))
    return module


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, list[int]]] = {
    "resnet20": (small_resnet, 32, [32, 16, 8]),
    "mobilenet_v2": (lambda: models.mobilenet_v2(num_classes=10), 64, [32, 16, 8, 4, 2]),
    # Its own classifier has a hundred million weights; the pooling before it gives 7×7 of 1×1.
    "vgg11": (lambda: _vgg11(), 32, [32, 16, 8, 4, 2]),
    "densenet": (lambda: _densenet(), 32, [16, 8, 4, 2]),
    "convnext": (lambda: models.convnext_tiny(num_classes=10), 64, [16, 8, 4, 2]),
    "in place": (plain, 16, [16, 8]),
    "shared ReLU": (lambda: Awkward(10, 3), 16, [16, 8]),
}


def _vgg11() -> nn.Module:
    module = models.vgg11(init_weights=False)
    module.classifier = nn.Linear(512 * 49, 10)
    return module


def _densenet() -> nn.Module:
    module: nn.Module = models.DenseNet(4, (2, 2, 2), 8, num_classes=10)
    return module


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_any_convolutional_network_is_an_encoder(name: str) -> None:
    build, side, sides = NETWORKS[name]
    torch.manual_seed(0)
    module = build().eval()
    images = torch.randn(2, 3, side, side)
    stages = find_stages(module, images)
    logits, features = read_stages(module, images, stages)
    assert not any(layer._forward_hooks for layer in module.modules())
    torch.testing.assert_close(logits, module(images))
    assert [maps.shape[2] for maps in features] == sides
    shapes: dict[Masks, tuple[int, ...]] = {"rbf": (2, 3), "independent": (2, side, side)}
    for masks, shape in shapes.items():
        decoder = Decoder([maps.shape[1] for maps in features], 10, masks)
        found = decoder(features, torch.tensor([1, 7]), (side, side))
        assert found.shape == shape
        probabilities = decoder.to_probabilities(found, (side, side))
        assert probabilities.shape == (2, side, side)
        assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_maps_are_those_before_an_activation_in_place() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(nn.ReLU(inplace=True)))
    images = torch.randn(1, 3, 8, 8)
    _, (before, after) = read_stages(module, images, ("0", "1"))
    torch.testing.assert_close(before, module[0](images))
    assert before.min() < 0
    torch.testing.assert_close(after, before.relu())


def test_features_are_those_behind_a_gate_and_let_gradients_through() -> None:
    module = small_resnet().eval()
    gate = torch.ones(16, requires_grad=True)
    handle = module.get_submodule("layer1.0.bn1").register_forward_hook(
        lambda layer, inputs, output: output * gate[:, None, None]
    )
    images = torch.randn(2, 3, 32, 32)
    stages = find_stages(module, images)
    _, features = read_stages(module, images, stages)
    decoder = Decoder([16, 32, 64], 10, "rbf")
    found = decoder(features, torch.tensor([0, 1]), (32, 32))
    (gradient,) = torch.autograd.grad(found.sum(), gate)
    assert gradient.abs().sum() > 0
    with torch.no_grad():
        gate[3] = 0
        closed = read_stages(module, images, stages)[1]
    assert not torch.equal(closed[0], features[0])
    handle.remove()


def test_hooks_go_even_if_the_network_fails() -> None:
    module = small_resnet().eval()
    with pytest.raises(RuntimeError):
        read_stages(module, torch.randn(1, 4, 32, 32), ("layer1", "layer2"))
    assert not any(layer._forward_hooks for layer in module.modules())


@pytest.mark.parametrize("pruning", ["half the filters", "a fifth of the weights"])
def test_pruned_networks_are_encoders(pruning: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 32, 32)
    module = small_resnet().eval()
    settle(module, images)
    fixed = frozenset(choose("models", "resnet20").plugin.fixed_channels())
    pruned = prune(copy.deepcopy(module), pruning, images, fixed=fixed)
    stages = find_stages(pruned, images)
    assert stages == find_stages(module, images)
    _, features = read_stages(pruned, images, stages)
    assert [maps.shape[2] for maps in features] == [32, 16, 8]


@pytest.mark.parametrize(
    ("module", "side"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 10)), 8),
        (nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten(), nn.Linear(4, 10)), 8),
        (
            models.VisionTransformer(
                image_size=32,
                patch_size=8,
                num_layers=1,
                num_heads=2,
                hidden_dim=8,
                mlp_dim=8,
                num_classes=10,
            ),
            32,
        ),
    ],
    ids=["no maps", "1×1", "tokens"],
)
def test_what_is_no_encoder_is_refused(module: nn.Module, side: int) -> None:
    with pytest.raises(RequestError, match=f"convolutional network; for images of {side}×{side}"):
        require_maps(module, torch.randn(1, 3, side, side))


def test_maps_with_channels_last_are_passed_over() -> None:
    module = channels_last().eval()
    assert find_stages(module, torch.randn(1, 3, 20, 20)) == ("5",)


@pytest.mark.parametrize("side", [32, 96])
@torch.no_grad()
def test_an_rbf_starts_in_the_middle_and_stays_within_reach(side: int) -> None:
    torch.manual_seed(0)
    decoder = Decoder([4, 8], 10, "rbf")
    features = [torch.randn(3, 4, side, side), torch.randn(3, 8, side // 2, side // 2)]
    row, column, width = decoder(features, torch.tensor([0, 9, 4]), (side, side)).unbind(1)
    assert ((row - side / 2).abs() < side / 16).all()
    assert ((column - side / 2).abs() < side / 16).all()
    assert ((width / side - 0.25).abs() < 0.05).all()
    # A head that points at the corner in the last row and the first column.
    maps = torch.zeros(1, 32, side, side)
    maps[0, :, -1, 0] = 1e4
    decoder.head.place.weight.fill_(1)
    row, column, _ = decoder.head(maps, (side, side)).double()[0].tolist()
    reach = 14 / 32 * side
    assert row == pytest.approx(side / 2 + reach * math.tanh((side / 2 - 1) / reach))
    assert column == pytest.approx(side / 2 - reach * math.tanh(side / 2 / reach))


def test_a_mask_depends_on_its_own_image_and_class_alone() -> None:
    torch.manual_seed(0)
    decoder = Decoder([4, 8], 3, "independent")
    features = [torch.randn(2, 4, 8, 12), torch.randn(2, 8, 4, 6)]
    together = decoder(features, torch.tensor([0, 2]), (16, 24))
    alone = decoder([maps[1:] for maps in features], torch.tensor([2]), (16, 24))
    torch.testing.assert_close(together[1:], alone)
    other = decoder(features, torch.tensor([0, 1]), (16, 24))
    torch.testing.assert_close(other[0], together[0])
    assert (other[1] - together[1]).abs().max() > 1e-4


@pytest.mark.parametrize("masks", ["rbf", "independent"])
def test_a_decoder_is_built_again_from_its_tensors(masks: Masks) -> None:
    torch.manual_seed(0)
    decoder = Decoder([2] * 12, 5, masks)  # more than ten stages: 10 sorts before 2
    features = [torch.randn(1, 2, 30 - 2 * i, 30 - 2 * i, dtype=torch.float64) for i in range(12)]
    tensors = {name: decoder.double().state_dict()[name] for name in sorted(decoder.state_dict())}
    state = torch.get_rng_state()
    again = load_decoder(tensors, masks)
    assert torch.equal(torch.get_rng_state(), state)
    classes = torch.tensor([3])
    assert torch.equal(again(features, classes, (30, 30)), decoder(features, classes, (30, 30)))
    assert not any(parameter.requires_grad for parameter in again.parameters())
