"""A compressed network survives JSON and safetensors, byte for byte."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch_pruning
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.errors import RequestError
from prunebench.networks import Architecture, Network
from prunebench.networks.network import apply_masks, from_module, from_tensors, to_tensors
from prunebench.plugins import choose

DIGITS = Architecture(
    factory="digits-cnn", classes=10, channels=1, size=(16, 16), mean=(0.5,), std=(0.5,)
)
RESNET = Architecture(
    factory="resnet20", classes=10, channels=3, size=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3
)
BLOCKS = """
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3)
        self.scale = nn.Parameter(nn.init.uniform_(self.conv.bias.new_empty(8, 1, 1)))

    def forward(self, x):
        return self.scale * self.conv(x)

class Net(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.block = Block(channels)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.norm(self.block(x).mean((2, 3))))
"""


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def saved_and_loaded(network: Network) -> Network:
    architecture = Architecture.model_validate_json(network.architecture.model_dump_json())
    return from_tensors(architecture, load(save(to_tensors(network))))


def inputs(architecture: Architecture) -> Tensor:
    return torch.randn(4, architecture.channels, *architecture.size)


def assert_same(a: Network, b: Network) -> None:
    images = inputs(a.architecture)
    with torch.no_grad():
        assert torch.equal(a.module(images), b.module(images))
    ours, theirs = a.module.state_dict(), b.module.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) and ours[k].dtype == theirs[k].dtype for k in ours)
    assert a.masks.keys() == b.masks.keys()
    assert all(torch.equal(a.masks[k], b.masks[k]) for k in a.masks)
    assert a.architecture == b.architecture


def warm_up(module: nn.Module, architecture: Architecture) -> nn.Module:
    """Gives BatchNorm statistics of its own."""
    module.train()(inputs(architecture))
    return module.eval()


def masked(architecture: Architecture = DIGITS, amount: float = 0.6) -> Network:
    module = warm_up(architecture.build(), architecture)
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    prune.global_unstructured(
        [(layer, "weight") for layer in layers], prune.L1Unstructured, amount=amount
    )
    return from_module(module, architecture)


def thinned(architecture: Architecture) -> nn.Module:
    module = warm_up(architecture.build(), architecture)
    layers = dict(module.named_modules())
    fixed = choose("models", architecture.factory).plugin.fixed_channels()
    classifier = [m for m in module.modules() if isinstance(m, nn.Linear)]
    torch_pruning.pruner.MetaPruner(
        module,
        inputs(architecture),
        importance=torch_pruning.importance.MagnitudeImportance(),
        pruning_ratio=0.4,
        ignored_layers=[layers[name] for name in fixed] + classifier,
    ).step()
    return module


def test_untouched_networks_survive() -> None:
    network = Network(warm_up(RESNET.build(), RESNET), RESNET)
    assert_same(network, saved_and_loaded(network))
    assert network.example(2).shape == (2, 3, 16, 16)


def test_masked_networks_survive_with_their_masks() -> None:
    network = masked()
    assert network.architecture.resized == {}
    zeros = sum(int((mask == 0).sum()) for mask in network.masks.values())
    assert zeros == round(0.6 * sum(mask.numel() for mask in network.masks.values()))
    parameters = dict(network.module.named_parameters())
    for name, mask in network.masks.items():
        assert (parameters[name][mask == 0] == 0).all()
    assert_same(network, saved_and_loaded(network))


@pytest.mark.parametrize("architecture", [DIGITS, RESNET], ids=["digits-cnn", "resnet20"])
def test_thinned_networks_survive(architecture: Architecture) -> None:
    network = from_module(thinned(architecture), architecture)
    before = sum(p.numel() for p in architecture.build().parameters())
    assert sum(p.numel() for p in network.module.parameters()) < 0.8 * before
    loaded = saved_and_loaded(network)
    assert_same(network, loaded)
    assert repr(loaded.module) == repr(network.module)


def test_thinned_and_then_masked_networks_survive() -> None:
    module = thinned(RESNET)
    prune.random_unstructured(module.get_submodule("layer1.0.conv1"), "weight", amount=0.5)
    network = from_module(module, RESNET)
    assert network.masks.keys() == {"layer1.0.conv1.weight"}
    assert_same(network, saved_and_loaded(network))


def test_networks_of_a_file_survive_with_their_norms_and_loose_parameters(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(BLOCKS)
    architecture = Architecture(
        factory=f"{tmp_path}/net.py:Net",
        **DIGITS.model_dump(exclude={"factory"}),
    )
    module = architecture.build()
    keep = [0, 2, 3, 6, 7]
    block = module.block
    block.conv.weight = nn.Parameter(block.conv.weight[keep].detach())
    block.conv.bias = nn.Parameter(block.conv.bias[keep].detach())
    block.conv.out_channels = 5
    block.scale = nn.Parameter(block.scale[keep].detach())
    module.norm.weight = nn.Parameter(module.norm.weight[keep].detach())
    module.norm.bias = nn.Parameter(module.norm.bias[keep].detach())
    module.norm.normalized_shape = (5,)
    module.fc.weight = nn.Parameter(module.fc.weight[:, keep].detach())
    module.fc.in_features = 5
    network = from_module(module, architecture)
    assert_same(network, saved_and_loaded(network))


def test_double_precision_survives() -> None:
    network = Network(DIGITS.build().double().eval(), DIGITS)
    loaded = saved_and_loaded(network)
    images = inputs(DIGITS).double()
    assert torch.equal(network.module(images), loaded.module(images))


def test_views_and_shared_memory_can_be_saved() -> None:
    module = DIGITS.build().eval()
    module.linear.weight = nn.Parameter(torch.randn(64, 10).t())
    network = Network(module.to(memory_format=torch.channels_last), DIGITS)
    loaded = saved_and_loaded(network)
    assert torch.equal(loaded.module.linear.weight, module.linear.weight)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_zeros_stay_zero_through_training(optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    network = masked().copy()
    before = {name: p.detach().clone() for name, p in network.module.named_parameters()}
    apply_masks(network.module, network.masks)
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    steps = optimizer(network.module.parameters(), lr=0.01, weight_decay=0.1, **options)
    network.module.train()
    for _ in range(5):
        steps.zero_grad()
        logits = network.module(inputs(DIGITS))
        nn.functional.cross_entropy(logits, torch.arange(4)).backward()
        steps.step()
    trained = from_module(network.module, DIGITS)
    parameters = dict(trained.module.named_parameters())
    assert trained.masks.keys() == network.masks.keys()
    for name, mask in network.masks.items():
        assert torch.equal(trained.masks[name], mask)
        assert (parameters[name][mask == 0] == 0).all()
        assert not torch.equal(parameters[name], before[name])
    assert_same(trained, saved_and_loaded(trained))


def test_a_copy_can_be_changed() -> None:
    network = masked()
    copy = network.copy()
    with torch.no_grad():
        for tensor in (*copy.module.parameters(), *copy.masks.values()):
            tensor.fill_(7)
    assert not any((p == 7).all() for p in network.module.parameters())
    assert all(mask.max() <= 1 for mask in network.masks.values())


def test_masks_of_a_lone_layer_carry_the_name_of_its_parameter(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef net(classes): return nn.Linear(4, classes)"
    )
    architecture = DIGITS.model_copy(update={"factory": f"{tmp_path}/net.py:net"})
    module = architecture.build()
    prune.l1_unstructured(module, "weight", amount=0.5)
    network = from_module(module, architecture)
    assert network.masks.keys() == {"weight"}
    apply_masks(network.module, network.masks)
    assert hasattr(network.module, "weight_mask")


def test_a_replaced_layer_is_refused() -> None:
    module = DIGITS.build()
    module.linear = nn.Identity()
    with pytest.raises(RequestError, match=r"layer 'linear' \(Linear\) by a Identity"):
        from_module(module, DIGITS)


def test_added_and_removed_layers_are_refused() -> None:
    module = DIGITS.build()
    module.extra = nn.ReLU()
    with pytest.raises(RequestError, match="'extra'"):
        from_module(module, DIGITS)
    del module.extra, module.pool
    with pytest.raises(RequestError, match="'pool'"):
        from_module(module, DIGITS)


def test_hooks_left_behind_are_refused() -> None:
    module = DIGITS.build()
    handle = module.stage2.register_forward_hook(lambda m, i, output: output * 2)
    with pytest.raises(RequestError, match="left a hook on layer 'stage2'"):
        from_module(module, DIGITS)
    handle.remove()
    assert from_module(module, DIGITS).masks == {}
