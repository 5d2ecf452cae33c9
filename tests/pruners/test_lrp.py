from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.errors import RequestError
from prunebench.models.networks.cifar_resnet import CifarResNet
from prunebench.plugins.preparing import prepared
from prunebench.pruners.balanced_images import draw_balanced
from prunebench.pruners.filters.lrp import FilterRelevance, Lrp
from prunebench.pruners.filters.magnitude import RandomFilter
from prunebench.pruners.filters.relevance import Relevance
from prunebench.pruners.filters.senpis import Senpis
from prunebench.pruners.filters.thinet import ThiNet


def bias_free() -> nn.Module:
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3, stride=2, padding=1, groups=2, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 30, bias=False),
        nn.ReLU(),
        nn.Linear(30, 4, bias=False),
    )
    return network.double().eval()


def images(count: int = 3, size: int = 8) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(5)).double()


def largest_logit(network: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        values, classes = network(inputs).max(1)
    assert (values > 0).all()
    return values, classes


def test_relevance_is_conserved_from_layer_to_layer() -> None:
    network, inputs = bias_free(), images()
    logits, classes = largest_logit(network, inputs)
    found = Relevance(network, inputs).propagate(inputs, classes)
    assert list(found) == ["0", "3", "7", "9"]
    for relevance in found.values():
        assert (relevance >= 0).all()
        assert torch.allclose(relevance.flatten(1).sum(1), logits)


class Branches(nn.Module):
    """A residual sum, functional activations, a concatenation and a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.inner = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.wide = nn.Conv2d(6, 5, 1, bias=False)
        self.fc = nn.Linear(11, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        y = self.inner(x)
        y += x
        y = torch.cat([F.relu(y), self.wide(y).relu()], 1)
        found: Tensor = self.fc(y.mean((2, 3)))
        return found


def test_relevance_is_conserved_over_branches() -> None:
    torch.manual_seed(1)
    network, inputs = Branches().double().eval(), images()
    classes = torch.tensor([0, 1, 2])
    with torch.no_grad():
        logits = network(inputs)[torch.arange(3), classes]
    found = Relevance(network, inputs).propagate(inputs, classes)
    totals = {name: relevance.flatten(1).sum(1) for name, relevance in found.items()}
    assert torch.allclose(totals["fc"], logits)
    assert torch.allclose(totals["first"], logits)  # everything comes through it
    # A part comes by the shortcut.
    part = totals["inner"] / logits
    assert ((part > 0.05) & (part < 0.95)).all()


def naive(network: Any, image: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Relevance of the outputs of convolution, hidden and last linear layer, by loops."""
    convolution, _, _, hidden, _, last = network
    with torch.no_grad():
        maps = convolution(image[None])[0].relu()
        a = maps.flatten()
        b = hidden(a).relu()
        logits = last(b)
    top = torch.zeros(len(logits)).double()
    top[k] = logits[k]

    def down(inputs: Tensor, weight: Tensor, above: Tensor) -> Tensor:
        below = torch.zeros_like(inputs)
        for j in range(len(above)):
            shares = [max(float(inputs[i] * weight[j, i]), 0.0) for i in range(len(inputs))]
            for i, share in enumerate(shares):
                if sum(shares):
                    below[i] += share / sum(shares) * above[j]
        return below

    middle = down(b, last.weight.detach(), top)
    return down(a, hidden.weight.detach(), middle).view_as(maps), middle, top


@pytest.mark.parametrize("bias", [True, False])
def test_relevance_is_that_of_a_loop(bias: bool) -> None:
    torch.manual_seed(4)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=bias),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 5, bias=bias),
        nn.ReLU(),
        nn.Linear(5, 3, bias=bias),
    ).double()
    inputs, classes = images(2, size=4), torch.tensor([2, 0])
    found = Relevance(network.eval(), inputs).propagate(inputs, classes)
    for n in range(2):
        expected = naive(network, inputs[n], int(classes[n]))
        for ours, wanted in zip(found.values(), expected, strict=True):
            assert torch.allclose(ours[n], wanted, atol=1e-12)


def test_negative_inputs_contribute_through_negative_weights() -> None:
    network: Any = nn.Sequential(
        nn.Identity(), nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False)
    )
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, -2, 3], [0, 1, 0]]))
        network[2].weight.copy_(torch.tensor([[1.0, -1]]))
    inputs = torch.tensor([[2.0, -1, -1]])  # the second layer sees 1 and -1, and gives 2
    found = Relevance(network.eval(), inputs).propagate(inputs, torch.tensor([0]))
    assert found["1"].tolist() == [[1.0, 1.0]]


def test_normalisation_counts_as_part_of_its_convolution() -> None:
    torch.manual_seed(6)
    convolution, norm, rest = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)
    folded: Any = copy.deepcopy(convolution)
    statistics: Any = norm
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2, 0.5, -0.3, 3, -1]))
        norm.bias.normal_()
        statistics.running_mean.normal_()
        statistics.running_var.uniform_(0.5, 2)
        scale = norm.weight / (statistics.running_var + norm.eps).sqrt()
        folded.weight.mul_(scale[:, None, None, None])
        folded.bias.copy_((convolution.bias - statistics.running_mean) * scale + norm.bias)
    end = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), rest]
    whole = nn.Sequential(convolution, norm, *end).double().eval()
    plain = nn.Sequential(folded, nn.Identity(), *end).double().eval()
    inputs, classes = images(), torch.tensor([0, 1, 2])
    found, expected = (Relevance(n, inputs).propagate(inputs, classes) for n in (whole, plain))
    assert torch.allclose(found["0"], expected["0"], atol=1e-10)


def test_scores_are_shares_of_the_layer(tiny: Any, make_context: Any) -> None:
    network = tiny()
    context = make_context(network)
    scores = FilterRelevance(images=2).compute(tiny(), context)
    assert {name: len(each) for name, each in scores.items()} == {"0": 12, "3": 20, "7": 16, "9": 5}
    inputs, labels = draw_balanced(context, 2)
    relevance = Relevance(tiny(), inputs).propagate(inputs, labels)["3"].abs().sum((0, 2, 3))
    assert torch.allclose(scores["3"].float(), relevance / relevance.sum(), atol=1e-6)
    assert all(float(each.sum()) == pytest.approx(1) for each in scores.values())


def test_a_filter_that_nothing_reads_goes_first(tiny: Any, make_context: Any) -> None:
    def network() -> Any:
        found = tiny()
        with torch.no_grad():
            found[3].weight[:, [2, 5]] = 0
        return found

    before = network()
    context = make_context(before)
    context = prepared(Lrp().prepare(), network(), context)
    pruned: Any = Lrp(target="channels").compress(network(), 2 / 48, context)
    assert pruned[0].out_channels == 10
    assert torch.allclose(pruned(context.example), before(context.example), atol=1e-6)


def test_balanced_images_are_ordered_by_class_and_read_no_further(make_context: Any) -> None:
    labels = torch.tensor([0, 1, 1, 1, 0, 2, 2, 0, 1, 2])
    read = []

    def batches(count: int, size: int) -> Any:
        for place, label in list(enumerate(labels))[:count]:
            read.append(place)
            yield torch.full((1, 1, 2, 2), float(place)), label[None]

    context = replace(make_context(nn.Identity()), batches=batches, classes=3)
    inputs, found = draw_balanced(context, 2)
    assert inputs[:, 0, 0, 0].tolist() == [0, 4, 1, 2, 5, 6]
    assert found.tolist() == [0, 0, 1, 1, 2, 2]
    assert max(read) == 6
    assert (
        len(draw_balanced(replace(context, classes=4), 4)[0]) == 3 + 4 + 3
    )  # as many as there are


@pytest.mark.parametrize("method", [Lrp, Senpis, ThiNet])
def test_result_hangs_on_the_seed_alone_and_touches_nothing(
    method: Any, tiny: Any, make_context: Any
) -> None:
    whole = tiny()

    def weights() -> Tensor:
        context = prepared(method().prepare(), whole, make_context(whole, seed=3))
        pruned = method().compress(copy.deepcopy(whole), 0.4, context)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, context.baseline.state_dict()[name])
        return torch.cat([p.flatten() for p in pruned.parameters()])

    first = weights()
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(first, weights())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("method", [Lrp, Senpis, ThiNet])
def test_preparing_leaves_the_network_as_it_is(method: Any, tiny: Any, make_context: Any) -> None:
    network, context = tiny(), make_context(tiny())
    for preparation in method().prepare():
        preparation.compute(network, context)
    for name, value in tiny().state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(layer._forward_hooks for layer in network.modules())


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        found: Tensor = self.fc((x * x.sigmoid()).mean((2, 3)))
        return found


def test_step_without_a_rule_is_named() -> None:
    with pytest.raises(RequestError, match="no rule for the operation 'mul'"):
        Relevance(Gated().eval(), torch.randn(2, 3, 8, 8))


class ReadAgain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        F.relu_(x)  # what is read below is the result
        found: Tensor = self.fc(x.mean((2, 3)))
        return found


def test_work_in_place_that_the_graph_does_not_show_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(RequestError, match="in place"):
        Relevance(ReadAgain().eval(), torch.randn(2, 3, 8, 8))


class Conditional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_untraceable_code_is_refused() -> None:
    with pytest.raises(RequestError, match="cannot follow the code of Conditional"):
        Relevance(Conditional().eval(), torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", pytest.param("densenet121", marks=pytest.mark.sweep)]
)
def test_relevance_of_torchvision_networks(name: str) -> None:
    import torchvision

    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(num_classes=10).eval()
    inputs = torch.randn(1, 3, 64, 64)
    found = Relevance(network, inputs).propagate(inputs, torch.tensor([3]))
    layers = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert set(found) == set(layers)
    assert all(bool(relevance.isfinite().all()) for relevance in found.values())


# --- real weights ---------------------------------------------------------------------------------


def cifar(folder: Path, split: str, count: int) -> tuple[Tensor, Tensor]:
    import pyarrow.parquet as parquet
    from PIL import Image

    file = parquet.ParquetFile(folder / f"{split}.parquet")
    rows = next(file.iter_batches(count, columns=["image", "label"])).to_pylist()
    pixels = [
        np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")) for row in rows
    ]
    inputs = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = (inputs - mean[:, None, None]) / std[:, None, None]
    return inputs, torch.tensor([row["label"] for row in rows])


@pytest.mark.sweep
@pytest.mark.parametrize(
    "method", [Lrp(images=5), ThiNet(images=128), Senpis(images=5, scope="layerwise")]
)
def test_better_than_random_filters_on_resnet20(
    method: Any,
    make_context: Any,
    shared_data: Callable[[str], Path],
    shared_weights: Callable[[str], Path],
) -> None:
    state = torch.load(
        shared_weights("resnet20-12fca82f.th"), map_location="cpu", weights_only=True
    )["state_dict"]
    network = CifarResNet(20, 10).eval()
    network.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    folder = shared_data("cifar10-jpeg")
    train, test = cifar(folder, "train", 300), cifar(folder, "test", 400)

    def batches(count: int, size: int) -> Any:
        parts = (torch.split(each[:count], size) for each in train)
        yield from zip(*parts, strict=True)

    blocks = (f"layer{s}.{b}.conv2" for s in (1, 2, 3) for b in range(3))
    fixed = frozenset({"conv1", *blocks, "linear"})
    shared = {"size": 32, "classes": 10, "fixed_channels": fixed}

    def accuracy(pruner: Any, context: Any) -> float:
        pruned = pruner.compress(copy.deepcopy(network), 0.3, context)
        with torch.no_grad():
            return float((pruned(test[0]).argmax(1) == test[1]).float().mean())

    context = replace(make_context(network, **shared), batches=batches)
    ours = accuracy(method, prepared(method.prepare(), network, context))
    random = [accuracy(RandomFilter(), make_context(network, seed=k, **shared)) for k in range(4)]
    assert ours > sum(random) / 4 + 0.05
