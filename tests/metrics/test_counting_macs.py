"""Multiply-adds: agreement with fvcore, oracles, and a network left as it was."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from prunebench.networks.counting import count_effective_macs, count_macs, count_total_macs


class Functional(nn.Module):
    """One of each functional product, on a vector of 6 and a 4×6 matrix."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation = operation
        self.matrix = nn.Parameter(torch.randn(6, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(1).unflatten(1, (4, 6))
        attention = functional.scaled_dot_product_attention
        return {
            "matmul": lambda: rows @ self.matrix,
            "vector": lambda: rows[0] @ self.matrix[:, 0],
            "broadcast": lambda: self.matrix.t() @ rows.transpose(1, 2).expand(3, 6, 4),
            "bmm": lambda: torch.bmm(rows, self.matrix[None]),
            "mm": lambda: torch.mm(rows[0], self.matrix),
            "linear": lambda: functional.linear(rows, self.matrix.t()),
            "einsum": lambda: torch.einsum("nij,jk->nik", rows, self.matrix),
            "baddbmm": lambda: torch.baddbmm(torch.zeros(1, 4, 5), rows, self.matrix[None]),
            "attention": lambda: attention(rows, rows[:, :3], rows[:, :3, :5]),
            "nothing": lambda: functional.avg_pool2d(x.relu() * 2, 2) + 1,
        }[self.operation]()


@pytest.mark.parametrize(
    ("operation", "macs"),
    [
        ("matmul", 4 * 6 * 5),
        ("vector", 4 * 6),
        ("broadcast", 3 * 5 * 6 * 4),
        ("bmm", 4 * 6 * 5),
        ("mm", 4 * 6 * 5),
        ("linear", 4 * 6 * 5),
        ("einsum", 4 * 6 * 5),
        ("baddbmm", 4 * 6 * 5),
        ("attention", 4 * 3 * 6 + 4 * 3 * 5),
        ("nothing", 0),
    ],
)
def test_functional_products_are_counted(operation: str, macs: int) -> None:
    assert count_total_macs(Functional(operation), torch.randn(1, 1, 4, 6)) == macs


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(4, 8, 3), 3 * 3 * 4 * 8 * 6 * 6),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1), 3 * 3 * 4 * 8 * 4 * 4),
        (nn.Conv2d(4, 8, 3, groups=4), 3 * 3 * 8 * 6 * 6),
        (nn.Conv2d(4, 8, 3, padding="same"), 3 * 3 * 4 * 8 * 8 * 8),
        (nn.ConvTranspose2d(4, 8, 2, stride=2), 2 * 2 * 4 * 8 * 8 * 8),
        (nn.BatchNorm2d(4), 0),
        (nn.AdaptiveAvgPool2d(1), 0),
    ],
    ids=["conv", "strided", "grouped", "same", "transposed", "batchnorm", "pool"],
)
def test_layers(layer: nn.Module, macs: int) -> None:
    expected = {"0": macs} if macs else {}
    assert count_macs(nn.Sequential(layer), torch.randn(1, 4, 8, 8)) == expected


@pytest.mark.slow
def test_mobilenet_is_the_convolution_and_linear_part_of_fvcore() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis
    network, example = torchvision.models.mobilenet_v2().eval(), torch.zeros(1, 3, 224, 224)
    reference = FlopCountAnalysis(network, example)
    reference.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    operators = reference.by_operator()
    macs = count_macs(network, example)
    assert sum(macs.values()) == operators["conv"] + operators["linear"] == 300_774_272
    assert sum(operators.values()) > 1.04 * sum(macs.values())
    layers = dict(network.named_modules())
    assert all(isinstance(layers[name], nn.Conv2d | nn.Linear) for name in macs)


def test_attention_layers_are_counted() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            found: torch.Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return found

    projections, products = 4 * 16 * 8 * 8, 2 * 16 * 16 * 8
    assert count_total_macs(Attention(), torch.randn(1, 8, 4, 4)) == projections + products
    assert torch.backends.mha.get_fastpath_enabled()


def test_one_image_is_counted_whatever_the_batch() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10))
    assert count_total_macs(network, torch.zeros(7, 3, 8, 8)) == 27 * 4 * 36 + 4 * 36 * 10


def test_a_shared_layer_counts_each_time_it_is_used() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1)
    macs = count_macs(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 4, 8, 8))
    assert macs == {"0": 2 * 9 * 16 * 64}


def some_network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 36, 10))


def test_masks_leave_macs_and_scale_effective_macs() -> None:
    network, example = some_network(), torch.zeros(1, 3, 8, 8)
    whole = count_macs(network, example)
    assert count_effective_macs(network, whole) == sum(whole.values())
    prune.random_unstructured(network[0], "weight", amount=54)
    assert count_macs(network, example) == whole
    expected = whole["0"] * (216 - 54) / 216 + whole["5"]
    assert count_effective_macs(network, whole) == pytest.approx(expected)


def test_the_network_is_left_as_it_was() -> None:
    network = some_network().train()
    network[1].eval()
    calls = []
    network[2].register_forward_hook(lambda *args: calls.append(1))
    prune.l1_unstructured(network[0], "weight", amount=0.5)
    state = copy.deepcopy(network.state_dict())
    flags = [layer.training for layer in network.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()]
    random = torch.get_rng_state()
    count_total_macs(network, torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert [layer.training for layer in network.modules()] == flags
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()] == hooks
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    copy.deepcopy(network)  # impossible where a weight holds on to its history


def test_a_failing_forward_pass_leaves_no_hooks() -> None:
    network = some_network().train()
    with pytest.raises(RuntimeError):
        count_total_macs(network, torch.zeros(1, 5, 8, 8))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert all(layer.training for layer in network.modules())


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count_total_macs(some_network(), torch.zeros(1, 3, 8, 8))
    assert capfd.readouterr() == ("", "")
