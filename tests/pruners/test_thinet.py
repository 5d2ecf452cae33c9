from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from prunebench.errors import RequestError
from prunebench.plugins.preparing import prepared
from prunebench.pruners.filters.coupling import trace
from prunebench.pruners.filters.reconstruction import (
    compute_removal_errors,
    find_readers,
    fit_rescaling,
    sample_contributions,
)
from prunebench.pruners.filters.thinet import NextOutputs, ThiNet


def samples(seed: int, count: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(channels, channels, generator=generator).double()
    return torch.randn(count, channels, generator=generator).double() @ mixed


@given(seed=st.integers(0, 10**6), channels=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_greedy_removal_is_that_of_brute_force(seed: int, channels: int) -> None:
    x = samples(seed, 40, channels)
    gone: list[int] = []
    errors: list[float] = []
    while len(gone) < channels:
        left = [k for k in range(channels) if k not in gone]
        tried = {k: float((x[:, [*gone, k]].sum(1) ** 2).sum()) for k in left}
        gone.append(min(left, key=lambda k: tried[k]))
        errors.append(tried[gone[-1]])
    found = compute_removal_errors(x.T @ x)
    assert found.argsort().tolist() == gone
    largest = [max(errors[: n + 1]) / errors[-1] for n in range(channels)]
    assert found[gone].tolist() == pytest.approx(largest, rel=1e-6, abs=1e-7)
    assert int(found.argmin()) == int((x**2).sum(0).argmin())


def test_channels_that_cancel_go_together() -> None:
    x = samples(0, 50, 5)
    x[:, 3] = -x[:, 1] * 1.001
    x[:, 0] = 0
    x[:, 1] *= 0.01
    x[:, 3] *= 0.01
    order = compute_removal_errors(x.T @ x).argsort().tolist()
    assert order[0] == 0
    assert set(order[1:3]) == {1, 3}


@given(seed=st.integers(0, 10**6), channels=st.integers(2, 8), data=st.data())
@settings(max_examples=30, deadline=None)
def test_rescaling_is_least_squares(seed: int, channels: int, data: Any) -> None:
    x = samples(seed, 60, channels)
    count = data.draw(st.integers(1, channels - 1))
    kept = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))[:count]
    found = fit_rescaling(x.T @ x, kept)
    expected = torch.linalg.lstsq(x[:, kept], x.sum(1)).solution

    def error(factors: Tensor) -> float:
        return float(((x.sum(1) - x[:, kept] @ factors) ** 2).sum())

    assert error(found) <= error(torch.ones(count).double()) + 1e-9
    assert error(found) == pytest.approx(error(expected), rel=1e-3, abs=1e-6)


def test_rescaling_leaves_alone_what_says_nothing() -> None:
    x = samples(1, 60, 4)
    x[:, 2] = 0
    factors = fit_rescaling(x.T @ x, torch.tensor([0, 2]))
    assert float(factors[1]) == 1
    everything = fit_rescaling(x.T @ x, torch.arange(4))
    assert torch.equal(everything, torch.ones(4).double())


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Conv2d(4, 5, 3, padding=1), 7),
        (nn.Conv2d(4, 5, (3, 2), stride=2, dilation=2, padding=(2, 1)), 9),
        (nn.Conv2d(4, 5, 3, padding="same", padding_mode="reflect"), 6),
        (nn.Linear(4, 5), None),
    ],
)
def test_contributions_sum_to_outputs(layer: Any, size: int | None) -> None:
    generator = torch.Generator().manual_seed(3)
    shape = (6, 4) if size is None else (6, 4, size, size + 1)
    given = torch.randn(shape, generator=generator)
    with torch.no_grad():
        output = layer(given)
        x = sample_contributions(layer, given, output, 8, generator)
        bare = output - layer.bias.view(1, -1, *[1] * (output.dim() - 2))
    assert x.shape == (48, 4)
    for place, row in enumerate(x):
        image = bare[place // 8]
        assert float((image - row.sum()).abs().min()) < 1e-5
    # Each channel by itself: what the layer makes of it alone.
    alone = torch.zeros_like(given)
    alone[:, 2] = given[:, 2]
    with torch.no_grad():
        one = layer(alone) - layer.bias.view(1, -1, *[1] * (output.dim() - 2))
    for place, row in enumerate(x):
        assert float((one[place // 8] - row[2]).abs().min()) < 1e-5


class Mixed(nn.Module):
    """A plain convolution, a residual one, a depthwise pair and flattened maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 8, 3, padding=1)
        self.outer = nn.Conv2d(8, 6, 1)
        self.wide = nn.Conv2d(6, 10, 1)
        self.depthwise = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.narrow = nn.Conv2d(10, 4, 1)
        self.hidden = nn.Linear(4 * 16, 9)
        self.fc = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = x + self.outer(F.relu(self.inner(x)))
        x = self.narrow(F.relu(self.depthwise(F.relu(self.wide(x)))))
        x = F.max_pool2d(F.relu(x), 2)
        found: Tensor = self.fc(F.relu(self.hidden(x.view(x.size(0), -1))))
        return found


def mixed() -> Mixed:
    torch.manual_seed(0)
    return Mixed().eval()


def test_readers_are_found_where_there_is_one(make_context: Any) -> None:
    network = mixed()
    graph = trace(network, make_context(network).example)
    found = {reader.layer: reader for reader in find_readers(network, graph)}
    pairs = {name: reader.name for name, reader in found.items()}
    assert pairs == {"inner": "outer", "wide": "narrow", "narrow": "hidden", "hidden": "fc"}
    assert found["inner"].columns.tolist() == [[k] for k in range(8)]
    assert found["narrow"].columns.tolist() == torch.arange(64).view(4, 16).tolist()
    assert "inner" not in {reader.layer for reader in find_readers(network, graph, {"inner"})}


def test_what_several_layers_read_stays(make_context: Any) -> None:
    network = mixed()
    context = prepared(ThiNet().prepare(), network, make_context(network))
    pruned: Any = ThiNet(scope="layerwise", target="channels").compress(network, 0.5, context)
    assert (pruned.stem.out_channels, pruned.outer.out_channels) == (6, 6)
    assert (pruned.inner.out_channels, pruned.wide.out_channels) == (4, 5)
    assert (pruned.depthwise.out_channels, pruned.narrow.out_channels) == (5, 2)
    assert (pruned.hidden.out_features, pruned.hidden.in_features) == (4, 32)


class Stream(nn.Module):
    """Nothing but a residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1)
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        found: Tensor = self.fc((x + self.inner(x)).mean((2, 3)))
        return found


def test_network_of_nothing_but_a_stream_is_refused(make_context: Any) -> None:
    network = Stream().eval()
    context = prepared(ThiNet().prepare(), network, make_context(network))
    with pytest.raises(RequestError, match="no layer's channels may be removed"):
        ThiNet().compress(network, 0.5, context)


def test_gram_matrix_is_that_of_all_samples(make_context: Any) -> None:
    """With one output and one position there is nothing to draw."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 8), nn.ReLU(), nn.Flatten(), nn.Linear(6, 1), nn.Linear(1, 5)
    ).eval()
    context = make_context(network)
    gram = NextOutputs(samples=2).compute(network, context)["0"]
    (inputs, _), *_ = context.batches(6, 6)
    with torch.no_grad():
        x = network[:3](inputs) * network[3].weight
    assert torch.allclose(gram, 2 * (x.T @ x).double(), rtol=1e-4)


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


def images(count: int = 200) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(8))


def reading(context: Any) -> Any:
    from dataclasses import replace

    def batches(count: int, size: int) -> Any:
        for chunk in torch.split(images()[:count], size):
            yield chunk, torch.zeros(len(chunk), dtype=torch.long)

    return replace(context, batches=batches)


def test_rescaling_lowers_the_error_of_the_next_outputs(make_context: Any) -> None:
    def network() -> Any:
        found: Any = chain()
        with torch.no_grad():  # five filters and others that are much like them
            found[0].weight[5:] = found[0].weight[:5] + 0.3 * found[0].weight[5:]
            found[2].weight[:, 5:] = found[2].weight[:, :5] + 0.3 * found[2].weight[:, 5:]
        return found

    pruner = ThiNet(images=200, target="channels", rates={"0": 1.0})
    context = prepared(pruner.prepare(), network(), reading(make_context(network())))
    errors = {}
    with torch.no_grad():
        wanted = network()[:3](images())
        for rescale in (True, False):
            method = pruner.model_copy(update={"rescale": rescale})
            pruned: Any = method.compress(network(), 5 / 24, context)
            assert (pruned[0].out_channels, pruned[2].out_channels) == (5, 14)
            errors[rescale] = float(((pruned[:3](images()) - wanted) ** 2).mean())
    assert errors[True] < 0.9 * errors[False]


def test_rescaling_makes_up_for_a_twin(make_context: Any) -> None:
    def network() -> Any:
        found: Any = chain()
        with torch.no_grad():
            found[0].weight[4], found[0].bias[4] = found[0].weight[7], found[0].bias[7]
            found[2].weight[:, 4] = found[2].weight[:, 7]
            found[2].weight[:, 7] *= 0.5
            found[2].weight[:, 4] *= 0.1
        return found

    pruner = ThiNet(images=200, target="channels", rates={"0": 1.0})
    context = prepared(pruner.prepare(), network(), reading(make_context(network())))
    pruned: Any = pruner.compress(network(), 1 / 24, context)
    with torch.no_grad():
        assert torch.allclose(pruned(images()), network()(images()), atol=1e-4)


def test_without_rescaling_the_weights_are_those_of_the_network(make_context: Any) -> None:
    pruner = ThiNet(images=200, rescale=False, scope="layerwise", target="channels")
    context = prepared(pruner.prepare(), chain(), reading(make_context(chain())))
    gram = context.prepared["contributions"]
    pruned: Any = pruner.compress(chain(), 0.5, context)
    first = compute_removal_errors(gram["0"]).argsort()[5:].sort().values
    second = compute_removal_errors(gram["2"]).argsort()[7:].sort().values
    before: Any = chain()
    assert torch.equal(pruned[0].weight, before[0].weight[first])
    assert torch.equal(pruned[2].weight, before[2].weight[second][:, first])
    assert torch.equal(pruned[6].weight, before[6].weight[:, second])


def test_normalised_flattened_and_hidden_layers_are_rescaled_too(
    tiny: Any, make_context: Any
) -> None:
    pruner = ThiNet(scope="layerwise", target="channels")
    context = prepared(pruner.prepare(), tiny(), make_context(tiny()))
    pruned: Any = pruner.compress(tiny(), 0.25, context)
    plain: Any = pruner.model_copy(update={"rescale": False}).compress(tiny(), 0.25, context)
    assert (pruned[0].out_channels, pruned[3].out_channels, pruned[7].out_features) == (9, 15, 12)
    assert torch.equal(pruned[0].weight, plain[0].weight)
    for place, channels in ((3, 9), (7, 15), (9, 12)):
        ratio = pruned[place].weight / plain[place].weight
        by_channel = ratio.reshape(len(ratio), channels, -1)  # one factor for each channel read
        assert torch.allclose(by_channel, by_channel[:1, :, :1].expand_as(by_channel), rtol=1e-3)
        if place != 9:  # the hidden units that went gave nothing
            assert not torch.allclose(ratio, torch.ones_like(ratio), rtol=1e-3)
