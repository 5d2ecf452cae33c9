"""State dicts of structurally pruned networks, and the factory's network brought to their sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torch_pruning as tp
import torchvision
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.model_files.loaded_weights import fit_weights
from prunebench.model_files.narrowing import is_narrower, narrow
from prunebench.model_files.weights import SavedWeights, read_network
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_tensors, to_tensors

SIZE = 64


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = torchvision.models.get_model(name, num_classes=10)
    return module.eval()


def prune(module: nn.Module, ratio: float = 0.3) -> nn.Module:
    """Remove a share of the channels of every layer by Torch-Pruning; the classifier stays."""
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    tp.pruner.MagnitudePruner(
        module,
        torch.rand(1, 3, SIZE, SIZE),
        importance=tp.importance.GroupMagnitudeImportance(p=1),
        pruning_ratio=ratio,
        ignored_layers=[last],
    ).step()
    return module.eval()


def example() -> Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",  # depthwise convolutions, squeeze and excitation
        "regnet_x_400mf",  # grouped convolutions
        pytest.param("convnext_tiny", marks=pytest.mark.slow),  # LayerNorm, layer scale
        pytest.param("densenet121", marks=pytest.mark.slow),  # concatenation
    ],
)
def test_the_factory_s_network_gives_what_the_pruned_one_gave(name: str) -> None:
    pruned = prune(build(name))
    whole = build(name)
    fit = fit_weights(whole, SavedWeights(pruned.state_dict()), example()[:1], "pruned.pt")
    assert torch.equal(whole(example()), pruned(example()))
    assert fit.resized
    for layer, sizes in fit.resized.items():
        for key, value in sizes.items():
            assert getattr(pruned.get_submodule(layer), key) == value


def test_the_sizes_found_build_the_network_again() -> None:
    pruned, whole = prune(build("mobilenet_v3_small")), build("mobilenet_v3_small")
    fit = fit_weights(whole, SavedWeights(pruned.state_dict()), example()[:1], "pruned.pt")
    architecture = Architecture(
        factory="torchvision/mobilenet_v3_small",
        classes=10,
        channels=3,
        size=(SIZE, SIZE),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        resized=fit.resized,
    )
    again = from_tensors(architecture, to_tensors(Network(whole, architecture)))
    assert torch.equal(again.module(example()), pruned(example()))


def test_weights_of_half_precision_fit_too() -> None:
    pruned, whole = prune(build("resnet18")), build("resnet18")
    state = {k: v.half() if v.is_floating_point() else v for k, v in pruned.state_dict().items()}
    fit_weights(whole, SavedWeights(state), example()[:1], "half.pt")
    assert (whole(example()) - pruned(example())).abs().max() < 1e-2


def vit(**options: int) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=SIZE, depth=2, num_classes=10, **options
    )
    return module.eval()


def remove_a_head(network: nn.Module) -> nn.Module:
    """Take the first head out of every block, as head pruning does."""
    for block in network.blocks:  # type: ignore[union-attr]
        attention = block.attn  # type: ignore[union-attr]
        size = attention.head_dim
        kept = torch.arange(size, attention.num_heads * size)
        rows = torch.cat([kept + part * attention.num_heads * size for part in range(3)])
        for layer, values in ((attention.qkv, rows),):
            layer.weight = nn.Parameter(layer.weight.detach()[values])
            layer.bias = nn.Parameter(layer.bias.detach()[values])
            layer.out_features = len(values)
        attention.proj.weight = nn.Parameter(attention.proj.weight.detach()[:, kept])
        attention.proj.in_features = len(kept)
        attention.num_heads -= 1
        attention.attn_dim = len(kept)
    return network


def test_heads_that_weights_do_not_tell_are_refused_and_those_of_a_module_are_taken() -> None:
    pruned = remove_a_head(vit())
    expected = pruned(example())
    with pytest.raises(RequestError, match=r"how many heads the attention 'blocks.0.attn'.*\.pt2"):
        fit_weights(vit(), SavedWeights(pruned.state_dict()), example()[:1], "pruned.pt")
    from prunebench.model_files.layer_sizes import list_sizes

    whole = vit()
    told = list_sizes(pruned)
    fit_weights(whole, SavedWeights(pruned.state_dict(), told), example()[:1], "pruned.pt")
    assert torch.equal(whole(example()), expected)


def test_a_smaller_mlp_of_a_transformer_needs_no_more_than_weights() -> None:
    pruned, whole = vit(), vit()
    for block in pruned.blocks:  # type: ignore[union-attr]
        mlp = block.mlp  # type: ignore[union-attr]
        mlp.fc1.weight, mlp.fc1.bias = (
            nn.Parameter(mlp.fc1.weight.detach()[:100]),
            nn.Parameter(mlp.fc1.bias.detach()[:100]),
        )
        mlp.fc2.weight = nn.Parameter(mlp.fc2.weight.detach()[:, :100])
    fit_weights(whole, SavedWeights(pruned.state_dict()), example()[:1], "pruned.pt")
    assert torch.equal(whole(example()), pruned(example()))


class PadsChannels(nn.Module):
    """As ResNets with option-A shortcuts: how many channels are padded stands in the code."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        found = self.first(images)
        padded = nn.functional.pad(found, (0, 0, 0, 0, 2, 2))
        return (self.second(found) + padded).mean((2, 3))


def test_sizes_in_a_network_s_code_are_refused_with_the_layer_and_what_to_do() -> None:
    state = PadsChannels().state_dict()
    state["second.weight"], state["second.bias"] = (
        state["second.weight"][:6],
        state["second.bias"][:6],
    )
    with pytest.raises(RequestError, match=r"fails at layer 'second'.*give the whole network"):
        fit_weights(PadsChannels(), SavedWeights(state), torch.zeros(1, 3, 8, 8), "pruned.pt")


@pytest.mark.parametrize(
    ("rows", "message"), [(9, r"\(9, 3, 3, 3\) in the file.*never larger"), (0, "is empty")]
)
def test_what_no_pruning_leaves_is_refused(rows: int, message: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    state = {"0.weight": torch.zeros(rows, 3, 3, 3), "0.bias": torch.zeros(rows)}
    assert is_narrower(network, state)
    with pytest.raises(RequestError, match=message):
        narrow(network, state, {}, torch.zeros(1, 3, 8, 8), "pruned.pt")


def test_another_kernel_is_another_network_not_a_pruned_one() -> None:
    stem = {"conv1.weight": torch.zeros(64, 3, 3, 3)}
    state = build("resnet18").state_dict() | stem  # as of ResNets for CIFAR-10
    with pytest.raises(RequestError, match=r"'conv1' has a kernel of \(3, 3\).*\(7, 7\)"):
        fit_weights(build("resnet18"), SavedWeights(state), example()[:1], "cifar.pt")


def test_groups_of_a_normalisation_are_not_guessed() -> None:
    def make(channels: int, groups: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, channels, 3), nn.GroupNorm(groups, channels))

    pruned, images = make(6, 3), torch.rand(1, 3, 8, 8)
    with pytest.raises(RequestError, match="how many groups this GroupNorm"):
        fit_weights(make(12, 6), SavedWeights(pruned.state_dict()), images, "pruned.pt")
    whole = make(12, 6)
    told = {"1": {"num_groups": 3}}
    fit_weights(whole, SavedWeights(pruned.state_dict(), told), images, "pruned.pt")
    assert torch.equal(whole(images), pruned(images))


def test_what_torch_pruning_saves_tells_its_sizes(tmp_path: Path) -> None:
    pruned, whole = prune(build("mobilenet_v3_small")), build("mobilenet_v3_small")
    torch.save(tp.state_dict(pruned), tmp_path / "tp.pt")
    found = read_network(tmp_path / "tp.pt", unsafe_pickle=True)
    assert found.attributes["features.0.0"]["out_channels"] == pruned.features[0][0].out_channels  # type: ignore[index,union-attr]
    fit_weights(whole, found, example()[:1], "tp.pt")
    assert torch.equal(whole(example()), pruned(example()))
