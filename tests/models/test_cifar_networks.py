"""WRN, ResNet-18, VGG-16 and MobileNetV2 for CIFAR images: sizes, target layers, pruning, maps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from cifar_tables import CLASSES, NETWORKS
from torch import Tensor, nn

import prunebench as pb
from prunebench.cams.network_cut import cut_network
from prunebench.errors import RequestError
from prunebench.models import Model
from prunebench.networks import Architecture
from prunebench.networks.counting import count_total_macs
from prunebench.networks.network import from_module, from_tensors, to_tensors
from prunebench.networks.shared_weights import make_twin
from prunebench.plugins import choose
from prunebench.plugins.context import Context
from prunebench.pruners.filters.magnitude import L1Filter

LIGHT = [name for name in NETWORKS if name != "wrn-28-10"]


def model(name: str, **parameters: Any) -> Model:
    chosen: Model = choose("models", name, parameters).plugin
    return chosen


def build(name: str, channels: int = 3, side: int = 32, classes: int = CLASSES) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = model(name).build(classes, channels, (side, side)).eval()
        for norm in network.modules():  # a fresh network is normalised by nothing
            if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
                nn.init.normal_(norm.running_mean, std=0.1)
                nn.init.uniform_(norm.weight, 0.5, 1.5)
    return network


def images(count: int = 2, channels: int = 3, side: int = 32) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def context(network: nn.Module) -> Context:
    def unused(*_: Any, **__: Any) -> Any:
        raise AssertionError("weights alone decide")

    return Context(
        example=images(1),
        classes=CLASSES,
        batches=unused,
        seed=0,
        device=torch.device("cpu"),
        baseline=copy.deepcopy(network),
        train=unused,
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_macs_are_those_of_the_papers_tables(name: str) -> None:
    network, expected = build(name), NETWORKS[name]
    parameters = sum(layer.parameters for layer in expected.layers)
    assert sum(p.numel() for p in network.parameters()) == parameters == expected.parameters
    macs = sum(layer.macs for layer in expected.layers)
    assert count_total_macs(network, images(1)) == macs == expected.macs


def test_vgg16_has_the_parameters_that_hrank_counts() -> None:
    layers = [m for m in build("vgg16-cifar").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 15
    assert sum(p.numel() for layer in layers for p in layer.parameters()) == 14_982_474  # 14.98M


@pytest.mark.parametrize("name", NETWORKS)
def test_target_layer_gives_rectified_maps_and_logits_follow(name: str) -> None:
    network, seen = build(name, classes=7), []
    layer = network.get_submodule(model(name).target_layer())
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert network(images()).shape == (2, 7)
    assert seen[0].shape == (2, *NETWORKS[name].maps)
    assert seen[0].min() == 0
    assert seen[0].max() > 0
    assert min(NETWORKS[name].maps[1:]) >= model(name).minimum_map == 4


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 64), (5, 37)])
def test_other_images_are_taken(name: str, channels: int, side: int) -> None:
    network = build(name, channels, side)
    assert network(images(2, channels, side)).shape == (2, CLASSES)


def test_images_of_which_nothing_would_be_left_are_refused() -> None:
    with pytest.raises(RequestError, match="at least 16×16, found 15×20"):
        model("vgg16-cifar").build(CLASSES, 3, (15, 20))
    assert build("vgg16-cifar", side=16)(images(side=16)).shape == (2, CLASSES)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_maps_come_from_a_network_cut_at_the_target_layer(name: str) -> None:
    network, layer = build(name), model(name).target_layer()
    parts = cut_network(network, make_twin(network), layer, images())
    # Behind VGG's target layer are convolutions; the others end in pooling and a linear layer.
    assert parts.affine == (name != "vgg16-cifar")
    maps = pb.explain(network, images(), ("grad-cam",), target_layer=layer, quiet=True)["grad-cam"]
    assert maps.shape == (2, 32, 32)
    assert 0 <= maps.min() < 0.5 < maps.max() <= 1


@pytest.mark.parametrize("name", ["wrn-16-2", "resnet18-cifar", "mobilenetv2-cifar"])
def test_class_activation_mapping_is_grad_cam_here(name: str) -> None:
    layer = model(name).target_layer()
    maps = pb.explain(build(name), images(), ("cam", "grad-cam"), target_layer=layer, quiet=True)
    assert torch.allclose(maps["cam"], maps["grad-cam"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_filters_go_together_with_the_shortcuts_and_the_network_is_saved(name: str) -> None:
    whole = build(name)
    pruned: Any = L1Filter(target="macs").compress(build(name), 0.5, context(whole))
    assert count_total_macs(pruned, images(1)) / NETWORKS[name].macs == pytest.approx(0.5, abs=0.01)
    logits = pruned(images())
    assert logits.shape == (2, CLASSES)
    assert logits.isfinite().all()

    architecture = Architecture(
        factory=name, classes=CLASSES, channels=3, size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3
    )
    network = from_module(pruned, architecture)
    loaded = from_tensors(network.architecture, to_tensors(network))
    assert torch.equal(loaded.module(images()), logits)


def stream(name: str, network: Any) -> list[int]:
    """Channels of everything that is summed up in one stage."""
    if name == "wrn-16-2":
        blocks = network.block3.layer
        return [block.conv2.out_channels for block in blocks] + [
            blocks[0].convShortcut.out_channels,
            network.bn1.num_features,
            network.fc.in_features,
        ]
    if name == "resnet18-cifar":
        blocks = network.layer4
        return [block.conv2.out_channels for block in blocks] + [
            blocks[0].downsample[0].out_channels,
            network.fc.in_features,
        ]
    return [block.conv[-2].out_channels for block in network.features[7:11]]  # the stage of 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"), [("wrn-16-2", 128), ("resnet18-cifar", 512), ("mobilenetv2-cifar", 64)]
)
def test_the_residual_stream_is_thinned_as_one(name: str, width: int) -> None:
    whole = build(name)
    assert set(stream(name, whole)) == {width}
    method = L1Filter(scope="layerwise", target="channels")
    pruned = method.compress(build(name), 0.5, context(whole))
    assert set(stream(name, pruned)) == {width // 2}
    for layer in pruned.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            assert layer.groups == layer.in_channels == layer.out_channels


def test_dropout_of_a_wrn_is_a_matter_of_training_alone() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = model("wrn-16-2", dropout=0.3).build(CLASSES, 3, (32, 32))
        first, second = network(images()), network(images())
        assert not torch.allclose(first, second)
        network.eval()
        assert torch.equal(network(images()), network(images()))
    with pytest.raises(RequestError, match="dropout"):
        model("wrn-16-2", dropout=1)


def test_shortcuts_of_a_wrn_read_what_is_normalised_where_the_channels_change() -> None:
    from prunebench.models.networks.wide_resnet import WideBlock

    maps = images(channels=4, side=6)
    same, wider = WideBlock(4, 4, 1, 0.0).eval(), WideBlock(4, 8, 2, 0.0).eval()
    for block in (same, wider):
        nn.init.zeros_(block.conv2.weight)  # leaves the shortcut alone
    assert torch.equal(same(maps), maps)
    assert wider.convShortcut is not None
    assert torch.equal(wider(maps), wider.convShortcut(wider.bn1(maps).relu()))


@pytest.mark.sweep
def test_the_largest_network_is_pruned() -> None:
    whole = build("wrn-28-10")
    pruned = L1Filter(target="macs").compress(build("wrn-28-10"), 0.9, context(whole))
    left = count_total_macs(pruned, images(1)) / NETWORKS["wrn-28-10"].macs
    assert left == pytest.approx(0.1, abs=0.005)
    assert pruned(images()).shape == (2, CLASSES)
