"""Networks in which each activation is a module of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunebench.cams.unrolled_network import unroll
from prunebench.errors import RequestError
from prunebench.networks.shared_weights import make_twin


class Awkward(nn.Module):
    """Everything that hides activations from a method that hooks modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)  # used twice
        self.pool = nn.MaxPool2d(3, 2, 1)  # used twice, with windows that overlap
        self.drop = nn.Dropout()
        self.classifier = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Classifies B×3×H×W."""
        x = self.pool(self.relu(self.norm(self.first(x))))
        shortcut = x
        x = self.second(x).relu_()
        x = self.second(x)  # a convolution used twice
        x += shortcut
        x = self.pool(self.relu(x))
        F.relu(x, inplace=True)  # a statement whose result is read as x
        x = F.max_pool2d(F.relu(x), 2) + F.avg_pool2d(x, 2)
        return self.classifier(self.drop(x.mean([2, 3])))


def awkward() -> Awkward:
    torch.manual_seed(4)
    module = Awkward().double().eval()
    with torch.no_grad():
        module.norm.running_mean.normal_()
        module.norm.running_var.uniform_(0.5, 2)
    return module


def images(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 16, 16, dtype=torch.float64, generator=generator)


def test_it_computes_the_same() -> None:
    module, x = awkward(), images()
    copy = unroll(module, x[:1])
    torch.testing.assert_close(copy(x), module(x), rtol=0, atol=1e-12)


def test_each_activation_and_pool_is_a_module_of_its_own_and_not_in_place() -> None:
    copy = unroll(awkward(), images(1))
    kinds = [type(layer) for layer in copy.modules()]
    assert kinds.count(nn.ReLU) == 5
    assert kinds.count(nn.MaxPool2d) == 3
    assert kinds.count(nn.Conv2d) == 3
    assert nn.Dropout not in kinds
    assert not any(getattr(layer, "inplace", False) for layer in copy.modules())
    calls = {node.target for node in copy.graph.nodes if node.op.startswith("call_")}
    assert not calls & {F.relu, "relu", "relu_", F.max_pool2d, torch.max_pool2d, "mean"}


@pytest.mark.parametrize("copied", [make_twin, lambda module: unroll(module, images(1))])
def test_weights_are_shared_in_memory_and_nothing_else(
    copied: Callable[[nn.Module], nn.Module],
) -> None:
    module = awkward().train()
    module.first.weight.grad = torch.ones_like(module.first.weight)
    copy = copied(module)
    shared = {weight.data_ptr() for weight in module.parameters()}
    assert {weight.data_ptr() for weight in copy.parameters()} == shared
    buffers = {buffer.data_ptr() for buffer in module.buffers()}
    assert not buffers & {buffer.data_ptr() for buffer in copy.buffers()}
    for layer in copy.modules():
        layer.register_forward_hook(lambda *_: pytest.fail("the network runs the copy's hook"))
    for weight in copy.parameters():
        assert weight.grad is None
        weight.requires_grad_(True)
        weight.grad = torch.zeros_like(weight)
    assert module.training
    assert module.relu.inplace
    assert module.first.weight.grad.all()
    assert module.second.weight.grad is None
    module(images())


@pytest.mark.parametrize("copied", [make_twin, lambda module: unroll(module, images(1))])
def test_masked_networks_stay_masked(copied: Callable[[nn.Module], nn.Module]) -> None:
    from torch.nn.utils import prune

    module = awkward()
    prune.l1_unstructured(module.second, "weight", amount=0.7)
    module(images())  # leaves the masked weight as an attribute with a history
    copy = copied(module)
    torch.testing.assert_close(copy(images()), module(images()))


def test_code_that_depends_on_numbers_is_refused_with_the_reason() -> None:
    class Fickle(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x) if x.sum() > 0 else x

    with pytest.raises(RequestError, match=r"the code of Fickle: symbolically traced"):
        unroll(Fickle(), images(1))


def test_work_in_place_on_a_part_of_a_tensor_is_refused_and_not_wrong() -> None:
    class Partial(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x * 1
            x[:, :1].relu_()
            return x.flatten(1)

    with pytest.raises(RequestError, match=r"copy of Partial .* gives other logits"):
        unroll(Partial(), images(1))
