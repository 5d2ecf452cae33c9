from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torchvision.models import vgg

from prunebench.data import batches
from prunebench.errors import RequestError
from prunebench.execution.stages.context import make_context as make_real_context
from prunebench.models.networks.cifar_resnet import CifarResNet
from prunebench.models.networks.sp2ps import Sp2psNetwork
from prunebench.networks import Architecture, Network
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.plugins import choose
from prunebench.plugins.preparing import prepared
from prunebench.pruners.filters.feature_maps import (
    FeatureReader,
    choose_batch_size,
    make_importance,
)

METHODS = ["activation-mean", "apoz", "hrank", "interpretable", "cam-guided"]


def images(count: int = 2, size: int = 32) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def lively(network: nn.Module) -> nn.Module:
    """Gives every BatchNorm statistics and weights of its own."""
    generator = torch.Generator().manual_seed(9)
    norms: list[Any] = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        shape = norm.running_mean.shape
        norm.running_mean.copy_(0.3 * torch.randn(shape, generator=generator))
        norm.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
        if norm.affine:
            with torch.no_grad():
                norm.bias.copy_(0.3 * torch.randn(shape, generator=generator))
    return network.eval()


@pytest.fixture(scope="module")
def resnet() -> CifarResNet:
    torch.manual_seed(0)
    network = lively(CifarResNet(20, 10))
    assert isinstance(network, CifarResNet)
    return network


def vgg16() -> Any:
    """VGG-16 with BatchNorm, for 32×32 images; its ReLUs work in place."""
    torch.manual_seed(1)
    features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
    head = nn.Sequential(nn.Linear(512, 24), nn.ReLU(True), nn.Dropout(), nn.Linear(24, 10))
    return lively(nn.Sequential(features, nn.Flatten(), head))


def outputs_of(network: nn.Module, names: list[str], inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits, and what modules gave, as plain hooks see it."""
    kept: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda layer, _, output, name=name: kept.update({name: output})
        )
        for name in names
    ]
    logits = network(inputs)
    for hook in hooks:
        hook.remove()
    return logits, [kept[name] for name in names]


@torch.no_grad()
def test_maps_of_a_residual_network(resnet: CifarResNet) -> None:
    found = FeatureReader(resnet).read(images())
    stem = F.relu(resnet.bn1(resnet.conv1(images())))
    block: Any = resnet.layer1[0]
    inner = F.relu(block.bn1(block.conv1(stem)))
    after = F.relu(block.bn2(block.conv2(inner)) + stem)
    assert torch.equal(found.maps["conv1"], stem)
    assert torch.equal(found.maps["layer1.0.conv1"], inner)
    assert torch.equal(found.maps["layer1.0.conv2"], after)
    _, (strided,) = outputs_of(resnet, ["layer2.0"], images())
    assert torch.equal(found.maps["layer2.0.conv2"], strided)
    assert torch.equal(found.logits, resnet(images()))
    assert len(found.maps) == 19
    assert "linear" not in found.maps


@torch.no_grad()
def test_maps_of_a_network_that_works_in_place() -> None:
    network = vgg16()
    found = FeatureReader(network).read(images())
    first, norm, _, second, norm2 = network[0][:5]
    one = F.relu(norm(first(images())))
    two = F.relu(norm2(second(one)))
    assert torch.equal(found.maps["0.0"], one)
    assert torch.equal(found.maps["0.3"], two)
    assert torch.equal(found.logits, network(images()))
    assert found.maps["2.0"].shape == (2, 24)
    assert (found.maps["2.0"] >= 0).all()
    assert len(found.maps) == 14


def test_gradients_are_those_of_autograd(resnet: CifarResNet) -> None:
    features = FeatureReader(resnet, gradients=True).read(images())
    gradients = features.differentiate(features.logits.max(1).values.sum())
    names = ["layer1.0", "layer2.0", "layer3.1"]
    logits, outputs = outputs_of(resnet, names, images())
    expected = torch.autograd.grad(logits.max(1).values.sum(), outputs)
    for name, each in zip(names, expected, strict=True):
        assert torch.allclose(gradients[f"{name}.conv2"], each, rtol=1e-4, atol=1e-7)


def test_gradients_past_layers_that_work_in_place() -> None:
    network = vgg16()
    features = FeatureReader(network, gradients=True).read(images())
    gradients = features.differentiate(features.logits[:, 3].sum())
    plain = copy.deepcopy(network)
    for layer in plain.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    names = {"0.0": "0.2", "0.10": "0.12", "2.0": "2.1"}
    logits, outputs = outputs_of(plain, list(names.values()), images())
    expected = torch.autograd.grad(logits[:, 3].sum(), outputs)
    for name, each in zip(names, expected, strict=True):
        assert torch.allclose(gradients[name], each, rtol=1e-4, atol=1e-7)


def test_the_network_is_left_as_it_is() -> None:
    network = vgg16()
    network[0][0].weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    network.train()
    with torch.no_grad():
        features = FeatureReader(network, gradients=True).read(images())
    features.differentiate(features.logits.sum())
    assert network.training
    assert all(layer.training for layer in network.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    for layer in network.modules():
        assert not layer._forward_hooks
    flags = [parameter.requires_grad for parameter in network.parameters()]
    assert flags == [False] + [True] * (len(flags) - 1)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_masks_are_heeded_and_stay(resnet: CifarResNet) -> None:
    network = copy.deepcopy(resnet)
    conv: Any = network.layer1[0].conv1
    prune.l1_unstructured(conv, "weight", 0.5)  # type: ignore[no-untyped-call]
    found = FeatureReader(network, gradients=True).read(images())
    assert torch.allclose(found.logits, network(images()), atol=1e-5)
    assert not torch.allclose(found.logits, resnet(images()), atol=1e-3)
    assert prune.is_pruned(conv)
    assert conv.weight_orig.all()


@torch.no_grad()
def test_maps_of_linear_bottlenecks_are_those_after_the_sum() -> None:
    import torchvision

    torch.manual_seed(0)
    network = lively(torchvision.models.mobilenet_v2(num_classes=10, width_mult=0.25))
    found = FeatureReader(network).read(images())
    for name in ("features.3", "features.5"):
        _, (block,) = outputs_of(network, [name], images())
        assert torch.equal(found.maps[f"{name}.conv.2"], block)
        assert (block < 0).any()
    _, (relu6,) = outputs_of(network, ["features.3.conv.0.2"], images())
    assert torch.equal(found.maps["features.3.conv.0.0"], relu6)


def any_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "sp2ps":
        return Sp2psNetwork(((8,), (8, 8)), 10, (32, 32))
    if name in ("digits-cnn", "thesis-cnn"):
        grey: nn.Module = choose("models", name).plugin.build(10, 1, (32, 32))
        return grey
    library, _, own = name.partition("/")
    if library == "timm":
        network: nn.Module = pytest.importorskip("timm").create_model(own, num_classes=10)
        return network
    import torchvision

    found: nn.Module = torchvision.models.get_model(own, num_classes=10, weights=None)
    return found


OTHERS = [
    "torchvision/densenet121",
    "torchvision/convnext_tiny",
    "torchvision/efficientnet_b0",
    "timm/resnet18",
    "timm/densenet121",
    "timm/efficientnet_b0",
    "timm/regnety_002",
]


@pytest.mark.parametrize(
    "name",
    [
        *("sp2ps", "digits-cnn", "thesis-cnn", "torchvision/resnet18", "torchvision/mobilenet_v2"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS),
    ],
)
def test_every_layer_but_the_classifier_is_read(name: str) -> None:
    network = lively(any_network(name))
    inputs = images()[:, :1] if name in ("digits-cnn", "thesis-cnn") else images()
    features = FeatureReader(network, gradients=True).read(inputs)
    gradients = features.differentiate(features.logits.sum())
    with torch.no_grad():
        logits = network(inputs)
    assert torch.allclose(features.logits, logits, atol=1e-5 * float(logits.abs().max()))
    layers = find_prunable_layers(network)
    classifier = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)][-1]
    assert set(features.maps) == set(layers) - {classifier}
    for layer, maps in features.maps.items():
        each: Any = layers[layer]
        channels = each.out_features if isinstance(each, nn.Linear) else each.out_channels
        assert maps.shape[:2] == (2, channels)
        assert gradients[layer].shape == maps.shape


class Odd(nn.Module):
    """A layer called twice, sums in place, a question for the shape, a part without effect."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 6, 1)
        self.idle = nn.Conv2d(6, 4, 1)
        self.mix = nn.Linear(6, 7)
        self.fc = nn.Linear(7, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.stem(inputs)
        torch._assert(maps.ndim == 4, "images are expected")
        maps = F.relu(maps, inplace=True)
        self.idle(maps)
        maps = self.twice(self.twice(maps)).relu_()
        side = self.last(maps)
        side += maps
        maps = side.relu_()
        tokens = F.gelu(self.mix(maps.flatten(2).mT))
        found: Tensor = self.fc(tokens.mean(1))
        return found


def test_odd_code_is_read_right() -> None:
    torch.manual_seed(0)
    network = Odd().eval()
    reader = FeatureReader(network, gradients=True)
    assert reader.layers == ("stem", "idle", "last", "mix")
    features = reader.read(images(size=4))
    gradients = features.differentiate(features.logits[:, 0].sum())
    assert torch.allclose(features.logits, network(images(size=4)))

    stem = network.stem(images(size=4)).relu()
    inner = network.twice(network.twice(stem)).relu()
    last = (network.last(inner) + inner).relu()
    mix = F.gelu(network.mix(last.flatten(2).mT))
    logits = network.fc(mix.mean(1))
    expected = dict(zip(("stem", "last", "mix"), (stem, last, mix.mT), strict=True))
    for name, maps in expected.items():
        assert torch.allclose(features.maps[name], maps, atol=1e-6)
        (gradient,) = torch.autograd.grad(
            logits[:, 0].sum(), mix if name == "mix" else maps, retain_graph=True
        )
        wanted = gradient.mT if name == "mix" else gradient
        assert torch.allclose(gradients[name], wanted, atol=1e-6)
    assert not gradients["idle"].any()


class Choosy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.conv(inputs)
        found: Tensor = self.head(maps.mean((2, 3)) if maps.sum() > 0 else maps.amax((2, 3)))
        return found


@pytest.mark.parametrize("name", METHODS)
def test_code_that_chooses_its_way_by_values_is_refused(name: str, make_context: Any) -> None:
    pruner = choose("pruners", name).plugin
    with pytest.raises(RequestError, match="cannot follow the code of Choosy to its feature maps"):
        pruner.check(Choosy(), make_context(Choosy()))


def test_larger_images_are_read_fewer_at_a_time() -> None:
    assert choose_batch_size(torch.zeros(1, 3, 32, 32)) == 128
    assert choose_batch_size(torch.zeros(1, 3, 224, 224)) == 13
    assert choose_batch_size(torch.zeros(1, 3, 4000, 4000)) == 1


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.after = nn.Conv2d(4, 3, 1)
        self.fc = nn.Linear(3, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = F.relu(self.left(inputs) + self.right(inputs))
        found: Tensor = self.fc(F.relu(self.after(maps)).mean((2, 3)))
        return found


def test_filters_that_go_together_have_the_mean_of_their_scores(make_context: Any) -> None:
    from prunebench.pruners.filters.coupling import trace
    from prunebench.pruners.filters.removable import find_channels

    network = Summed().eval()
    scores = {"left": torch.tensor([1.0, 8, 3, 4]), "right": torch.tensor([5.0, 2, 3, 1])}
    graph = trace(network, make_context(network).example)
    channels = find_channels(network, graph, make_importance(scores, network), ())
    assert {c.indices: c.importance for c in channels} == {(0,): 3, (1,): 5, (2,): 3, (3,): 2.5}
    assert {c.layer for c in channels} == {"left"}  # nothing is known of the layer after


@pytest.mark.parametrize("name", METHODS)
def test_a_level_is_reached_and_nothing_else_is_touched(
    name: str, tiny: Any, make_context: Any
) -> None:
    pruner = choose("pruners", name, {"images": 6}).plugin
    whole, network = tiny(), tiny()
    pruned = []
    for seed in (11, 12):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        context = prepared(pruner.prepare(), network, make_context(network))
        pruned.append(pruner.compress(copy.deepcopy(network), 0.5, context))
        assert torch.equal(torch.get_rng_state(), state)
        for each in (network, context.baseline):
            for key, value in whole.state_dict().items():
                assert torch.equal(each.state_dict()[key], value)
    sizes = [sum(p.numel() for p in each.parameters()) for each in (whole, pruned[0])]
    assert 1 - sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.03)
    for one, two in zip(pruned[0].parameters(), pruned[1].parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", METHODS)
def test_dead_filters_go_first(name: str, tiny: Any, make_context: Any) -> None:
    network, dead = tiny(), [1, 4, 17]
    with torch.no_grad():
        network[3].weight[dead] = 0
    pruner = choose("pruners", name, {"scope": "layerwise", "target": "channels"}).plugin
    context = make_context(network, fixed_channels=frozenset({"0", "7"}))
    context = prepared(pruner.prepare(), network, context)
    pruned: Any = pruner.compress(copy.deepcopy(network), 0.15, context)
    assert pruned[3].out_channels == 17
    assert torch.allclose(pruned(context.example), network(context.example), atol=1e-6)


@pytest.fixture(scope="module")
def real(shared_data: Any, shared_weights: Any) -> tuple[Network, Any]:
    """A trained ResNet-20 and the CIFAR-10 images."""
    path = shared_data("cifar10-jpeg")
    data = choose("datasets", "parquet", {"path": path}).plugin.load()
    weights = torch.load(shared_weights("resnet20-12fca82f.th"), "cpu", weights_only=True)
    state = {key.removeprefix("module."): each for key, each in weights["state_dict"].items()}
    architecture = Architecture(
        factory="resnet20",
        classes=10,
        channels=3,
        size=(32, 32),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    module = architecture.build()
    module.load_state_dict(state)
    return Network(module.eval(), architecture), data


@pytest.mark.sweep
@pytest.mark.parametrize("name", METHODS)
def test_a_trained_network_suffers_less_than_from_random_filters(name: str, real: Any) -> None:
    network, data = real
    chosen = torch.arange(500)
    tested = list(
        batches(data.test, network.architecture.normalisation, 250, torch.device("cpu"), chosen)
    )

    @torch.no_grad()
    def accuracy_after(method: Any, seed: int) -> float:
        context = make_real_context(network, network, data, seed)
        context = prepared(method.prepare(), network.module, context)
        pruned = method.compress(copy.deepcopy(network.module), 0.3, context)
        right = sum(int((pruned(inputs).argmax(1) == labels).sum()) for inputs, labels in tested)
        return right / len(chosen)

    method = choose("pruners", name).plugin
    rival = choose("pruners", "random-filter", {"scope": method.scope}).plugin
    by_chance = sum(accuracy_after(rival, seed) for seed in range(4)) / 4
    assert accuracy_after(method, 1) > by_chance
