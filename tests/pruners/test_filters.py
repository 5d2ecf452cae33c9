from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from prunebench.errors import RequestError
from prunebench.models.networks.cifar_resnet import CifarResNet
from prunebench.models.networks.sp2ps import Sp2psNetwork
from prunebench.networks import network as networks
from prunebench.pruners.filters.magnitude import L1Filter, RandomFilter

Scope = Literal["global", "layerwise"]
Target = Literal["params", "channels", "macs"]
SP2PS = ((128, 128), (256, 256), (512, 512), (1024,))


def params(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, example: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(example)
    return counter.get_total_flops() // 2


def largest_channel(target: Target) -> float:
    """What a channel of the tiny network costs at most (one of its first layer), as a fraction."""
    kernels = 3 * 9 + 20 * 9
    costs = {"params": (kernels + 3) / 3901, "channels": 1 / 48, "macs": kernels * 64 / 160336}
    return costs[target]


def tiny_size(network: Any, target: Target, example: Tensor) -> int:
    if target == "channels":
        return int(network[0].out_channels + network[3].out_channels + network[7].out_features)
    return params(network) if target == "params" else macs(network, example)


@pytest.mark.slow
@pytest.mark.parametrize("method", [L1Filter, RandomFilter])
@given(
    level=st.floats(0, 0.8),
    scope=st.sampled_from(["global", "layerwise"]),
    target=st.sampled_from(["params", "channels", "macs"]),
)
@settings(max_examples=30, deadline=None)
def test_level_is_reached_within_one_channel(
    method: Any, level: float, scope: Scope, target: Target, tiny: Any, make_context: Any
) -> None:
    context = make_context(tiny())
    pruned = method(scope=scope, target=target).compress(tiny(), level, context)
    whole, left = (tiny_size(n, target, context.example) for n in (tiny(), pruned))
    # The nearest number of channels; for layerwise channels, in each of the three layers.
    slack = 3 if scope == "layerwise" and target == "channels" else 1
    assert abs(1 - left / whole - level) <= slack * largest_channel(target) / 2 + 1e-9
    assert pruned(context.example).shape == (1, 5)


def chain() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 10, 3),
        nn.ReLU(),
        nn.Conv2d(10, 14, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(14, 5),
    ).eval()


def kept_filters(before: Any, after: Any) -> list[int]:
    """Filters of the first convolution that are still there, by their weights."""
    same = (before.weight[:, None] == after.weight[None]).flatten(2).all(2).any(1)
    rows: list[int] = same.nonzero()[:, 0].tolist()
    assert len(rows) == len(after.weight)
    return rows


def test_l1_layerwise_removes_the_filters_of_smallest_norm(make_context: Any) -> None:
    before, network = chain(), chain()
    L1Filter(scope="layerwise", target="channels").compress(network, 0.3, make_context(before))
    first = before[0].weight.detach().abs().sum((1, 2, 3)).argsort()
    second = before[2].weight.detach().abs().sum((1, 2, 3)).argsort()
    keep_first, keep_second = sorted(first[3:].tolist()), sorted(second[4:].tolist())
    assert torch.equal(network[0].weight, before[0].weight[keep_first])
    assert torch.equal(network[0].bias, before[0].bias[keep_first])
    assert torch.equal(network[2].weight, before[2].weight[keep_second][:, keep_first])
    assert torch.equal(network[6].weight, before[6].weight[:, keep_second])
    assert torch.equal(network[6].bias, before[6].bias)


def test_l1_global_ranks_norms_relative_to_their_layer(make_context: Any) -> None:
    before, network = chain(), chain()
    L1Filter(target="channels").compress(network, 0.5, make_context(before))
    norms = [before[i].weight.detach().abs().sum((1, 2, 3)) for i in (0, 2)]
    relative = torch.cat([norm / norm.mean() for norm in norms])
    gone = relative.argsort()[:12]
    assert network[0].out_channels == 10 - int((gone < 10).sum())
    assert network[2].out_channels == 14 - int((gone >= 10).sum())


def test_dead_filters_go_without_changing_the_outputs(make_context: Any) -> None:
    network, dead = chain(), [1, 4, 8]
    with torch.no_grad():
        network[0].weight[dead] = 0
        network[0].bias[dead] = 0
    context, expected = make_context(network), copy.deepcopy(network)
    L1Filter(target="channels").compress(network, 3 / 24, context)
    assert network[0].out_channels == 7
    assert torch.allclose(network(context.example), expected(context.example), atol=1e-6)


@pytest.mark.slow
def test_first_layer_of_sp2ps_keeps_102_of_128_filters(make_context: Any) -> None:
    network = Sp2psNetwork(SP2PS, 10, (32, 32)).eval()
    context = make_context(network, size=32, classes=10)
    L1Filter(scope="layerwise", target="channels").compress(network, 0.2, context)
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    assert first.out_channels == 102
    assert params(first) == 2856
    assert [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)] == [
        102, 102, 205, 205, 410, 410, 819,
    ]  # fmt: skip


FIXED = ("conv1", *(f"layer{s}.{b}.conv2" for s in (1, 2, 3) for b in range(3)), "linear")


@pytest.mark.slow
@pytest.mark.parametrize("method", [L1Filter, RandomFilter])
@pytest.mark.parametrize("target", ["params", "macs"])
@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_cifar_resnet(method: Any, target: Target, scope: Scope, make_context: Any) -> None:
    whole = CifarResNet(20, 10).eval()
    context = make_context(whole, size=32, classes=10, fixed_channels=frozenset(FIXED))
    pruned = method(target=target, scope=scope).compress(copy.deepcopy(whole), 0.5, context)
    size = params if target == "params" else lambda network: macs(network, context.example)
    assert 1 - size(pruned) / size(whole) == pytest.approx(0.5, abs=0.01)
    for name in FIXED[:-1]:
        assert pruned.get_submodule(name).out_channels == whole.get_submodule(name).out_channels


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        "resnet18",
        pytest.param("densenet121", marks=pytest.mark.sweep),
        pytest.param("resnext50_32x4d", marks=pytest.mark.slow),
    ],
)
def test_coupled_and_grouped_channels_of_torchvision(name: str, make_context: Any) -> None:
    import torchvision

    torch.manual_seed(0)
    whole = getattr(torchvision.models, name)(num_classes=10).eval()
    architecture = networks.Architecture(
        factory=f"torchvision/{name}", classes=10, channels=3, size=(64, 64), mean=(), std=()
    )
    context = make_context(whole, size=64, classes=10)
    for target, size in (
        ("params", params),
        ("macs", lambda network: macs(network, context.example)),
    ):
        pruned = L1Filter(target=target).compress(copy.deepcopy(whole), 0.5, context)
        assert 1 - size(pruned) / size(whole) == pytest.approx(0.5, abs=0.01)
        assert pruned(context.example).shape == (1, 10)
        check_round_trip(pruned, architecture, context.example, lambda: copy.deepcopy(whole))


def check_round_trip(
    pruned: nn.Module, architecture: Any, example: Tensor, build: Callable[[], nn.Module]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks.Architecture, "build", lambda self: build())
        kept = networks.from_module(pruned, architecture)
        again = networks.from_tensors(kept.architecture, networks.to_tensors(kept))
    with torch.no_grad():
        assert torch.equal(again.module(example), pruned(example))


def test_pruned_network_is_differentiable_and_round_trips(tiny: Any, make_context: Any) -> None:
    context = make_context(tiny())
    pruned = RandomFilter().compress(tiny(), 0.5, context)
    nn.functional.cross_entropy(pruned(context.example), torch.tensor([1])).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in pruned.parameters())
    architecture = networks.Architecture(
        factory="tiny", classes=5, channels=3, size=(8, 8), mean=(), std=()
    )
    check_round_trip(pruned, architecture, context.example, tiny)


def test_random_filters_hang_on_the_seed_alone(make_context: Any) -> None:
    def kept(seed: int) -> list[int]:
        network = chain()
        method = RandomFilter(scope="layerwise", target="channels")
        method.compress(network, 0.5, make_context(network, seed=seed))
        return kept_filters(chain()[0], network[0])

    choices = {seed: kept(seed) for seed in range(4)}
    torch.manual_seed(99)
    assert kept(2) == choices[2]
    assert len({tuple(choice) for choice in choices.values()}) > 1


@pytest.mark.parametrize("method", [L1Filter, RandomFilter])
def test_neither_global_random_state_nor_baseline_is_touched(
    method: Any, tiny: Any, make_context: Any
) -> None:
    context, network = make_context(tiny()), tiny()
    state = torch.get_rng_state()
    method().compress(network, 0.5, context)
    assert torch.equal(state, torch.get_rng_state())
    for name, value in tiny().state_dict().items():
        assert torch.equal(value, context.baseline.state_dict()[name])


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("target", ["params", "channels", "macs"])
def test_collapse_is_refused_with_the_layer_and_the_largest_level(
    scope: Scope, target: Target, make_context: Any
) -> None:
    method = L1Filter(scope=scope, target=target)
    with pytest.raises(RequestError, match=r"layer '[02]'.*at most \d+\.\d% can be") as caught:
        method.compress(chain(), 0.999, make_context(chain()))
    largest = float(caught.value.message.split("at most ")[1].split("%")[0]) / 100
    network = method.compress(chain(), largest, make_context(chain()))
    assert (network[0].out_channels, network[2].out_channels) == (1, 1)


def test_network_of_fixed_layers_only_is_refused(make_context: Any) -> None:
    context = make_context(chain(), fixed_channels=frozenset({"0", "2"}))
    with pytest.raises(RequestError, match="no layer's channels may be removed"):
        L1Filter().compress(chain(), 0.5, context)


def test_unknown_fixed_layer_suggests_the_nearest(make_context: Any) -> None:
    network = CifarResNet(20, 10)
    context = make_context(
        network, size=32, classes=10, fixed_channels=frozenset({"layer1.0.conv9"})
    )
    with pytest.raises(RequestError, match=r"'layer1.0.conv9'; did you mean 'layer1.0.conv"):
        L1Filter().compress(network, 0.5, context)


class FullyConvolutional(nn.Module):
    """A classifier whose last layer is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 12, 3)
        self.classifier = nn.Conv2d(12, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.features(images).relu()).mean((2, 3))
        return found


def test_a_convolution_that_gives_the_classes_is_kept(make_context: Any) -> None:
    network = FullyConvolutional()
    L1Filter(target="channels").compress(network, 0.5, make_context(network))
    assert (network.features.out_channels, network.classifier.out_channels) == (6, 5)


class DepthwiseFirst(nn.Module):
    """Filters of the input's own channels, one each, which cannot go before those do."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 3, groups=3)
        self.features = nn.Conv2d(3, 12, 3)
        self.fc = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.fc(self.features(self.blur(images)).relu().mean((2, 3)))
        return found


def test_channels_of_the_input_are_kept(make_context: Any) -> None:
    network = DepthwiseFirst()
    L1Filter(target="channels").compress(network, 0.5, make_context(network))
    assert (network.blur.out_channels, network.features.out_channels) == (3, 6)


class Tangled(nn.Module):
    """A sum of two convolutions, a convolution with groups and a normalisation with groups."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(3, 12, 1)
        self.grouped = nn.Conv2d(12, 24, 3, groups=4)
        self.norm = nn.GroupNorm(6, 24)
        self.fc = nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.grouped(self.left(images) + self.right(images)))
        found: Tensor = self.fc(maps.relu().mean((2, 3)))
        return found


def test_sums_and_groups_lose_their_channels_together(make_context: Any) -> None:
    torch.manual_seed(0)
    before = Tangled().eval()
    network, context = copy.deepcopy(before), make_context(before)
    with torch.no_grad():  # the third filter of each of the four groups is dead
        for layer in (before.left, before.right, network.left, network.right):
            layer.weight[2::3], layer.bias[2::3] = 0, 0
    expected = before(context.example)
    L1Filter(scope="global", target="channels").compress(network, 4 / 36, context)
    assert network.left.out_channels == network.right.out_channels == network.grouped.in_channels
    assert network.left.out_channels == 8
    assert torch.allclose(network(context.example), expected, atol=1e-5)
    network = L1Filter(target="channels").compress(copy.deepcopy(before), 0.5, context)
    assert network.grouped.out_channels % 12 == 0
