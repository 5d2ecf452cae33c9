from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from prunebench.networks.network import apply_masks, make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.pruners.none import NoPruning
from prunebench.pruners.weights.magnitude import L1Unstructured, RandomUnstructured
from prunebench.pruners.weights.masks import mask_zeros

Scope = Literal["global", "layerwise"]
METHODS = [L1Unstructured, RandomUnstructured]


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: layer.weight.detach() for name, layer in find_prunable_layers(network).items()}


def zeros(network: nn.Module) -> dict[str, int]:
    return {name: int((weight == 0).sum()) for name, weight in weights(network).items()}


@pytest.mark.parametrize("method", METHODS)
@given(level=st.floats(0, 0.9), scope=st.sampled_from(["global", "layerwise"]))
@settings(max_examples=25, deadline=None)
def test_level_is_reached(
    method: Any, level: float, scope: Scope, tiny: Any, make_context: Any
) -> None:
    network = tiny()
    sizes = {name: weight.numel() for name, weight in weights(network).items()}
    masked = method(scope=scope).compress(network, level, make_context(tiny()))
    if scope == "global":
        total = sum(sizes.values())
        assert abs(sum(zeros(masked).values()) - level * total) <= 1
    else:
        for name, count in zeros(masked).items():
            assert abs(count - level * sizes[name]) <= 1


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_l1_removes_exactly_the_smallest(scope: Scope, tiny: Any, make_context: Any) -> None:
    network, before = tiny(), weights(tiny())
    after = weights(L1Unstructured(scope=scope).compress(network, 0.35, make_context(tiny())))
    pools = [list(before)] if scope == "global" else [[name] for name in before]
    for names in pools:
        magnitudes = torch.cat([before[name].abs().flatten() for name in names])
        gone = torch.cat([after[name].flatten() == 0 for name in names])
        count = round(0.35 * len(magnitudes))
        expected = torch.zeros_like(gone)
        expected[magnitudes.argsort()[:count]] = True
        assert torch.equal(gone, expected)


def test_only_weights_of_convolutions_and_linear_layers_are_masked(
    tiny: Any, make_context: Any
) -> None:
    masks = make_masks_permanent(L1Unstructured().compress(tiny(), 0.5, make_context(tiny())))
    assert set(masks) == {"0.weight", "3.weight", "7.weight", "9.weight"}


def test_random_masks_hang_on_the_seed_alone(tiny: Any, make_context: Any) -> None:
    def masks(seed: int) -> Tensor:
        network = RandomUnstructured().compress(tiny(), 0.5, make_context(tiny(), seed=seed))
        return torch.cat([mask.flatten() for mask in make_masks_permanent(network).values()])

    first = masks(1)
    torch.manual_seed(99)
    assert torch.equal(first, masks(1))
    overlap = ((first == 0) & (masks(2) == 0)).float().mean()
    assert overlap == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("method", METHODS)
def test_neither_global_random_state_nor_baseline_is_touched(
    method: Any, tiny: Any, make_context: Any
) -> None:
    context, network = make_context(tiny()), tiny()
    state = torch.get_rng_state()
    method().compress(network, 0.5, context)
    assert torch.equal(state, torch.get_rng_state())
    for name, value in tiny().state_dict().items():
        assert torch.equal(value, context.baseline.state_dict()[name])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("permanent", [False, True])
def test_levels_of_a_chain_count_all_weights(
    method: Any, permanent: bool, tiny: Any, make_context: Any
) -> None:
    network = method().compress(tiny(), 0.3, make_context(tiny(), seed=1))
    if permanent:
        make_masks_permanent(network)
    first = {name: weight == 0 for name, weight in weights(network).items()}
    network = method().compress(network, 0.5, make_context(tiny(), seed=2))
    total = sum(mask.numel() for mask in first.values())
    assert sum(zeros(network).values()) == round(0.5 * total)
    for name, weight in weights(network).items():
        assert (weight[first[name]] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_gone_stays_gone_at_a_lower_level(
    method: Any, tiny: Any, make_context: Any
) -> None:
    network = method().compress(tiny(), 0.5, make_context(tiny()))
    before = {name: mask.clone() for name, mask in make_masks_permanent(network).items()}
    network = method().compress(network, 0.1, make_context(tiny(), seed=5))
    after = make_masks_permanent(network)
    for name, mask in before.items():
        assert torch.equal(after[name], mask)


def test_masks_survive_training_with_momentum_and_decay(tiny: Any, make_context: Any) -> None:
    network = L1Unstructured().compress(tiny(), 0.6, make_context(tiny()))
    masks = make_masks_permanent(network)
    start = copy.deepcopy(network)
    apply_masks(network, masks)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        inputs = torch.randn(8, 3, 8, 8, generator=generator)
        loss = nn.functional.cross_entropy(network(inputs), torch.arange(8) % 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    make_masks_permanent(network)
    for name, mask in masks.items():
        assert (network.get_parameter(name)[mask == 0] == 0).all()
        assert not torch.equal(network.get_parameter(name), start.get_parameter(name))


def test_masks_of_zeros_finds_the_masks_again(tiny: Any, make_context: Any) -> None:
    network = L1Unstructured().compress(tiny(), 0.6, make_context(tiny()))
    masks = make_masks_permanent(network)
    assert mask_zeros(tiny()) == {}
    found = mask_zeros(network)
    assert set(found) == set(masks)
    assert all(torch.equal(found[name], masks[name]) for name in masks)


def test_wrong_scope_is_refused() -> None:
    with pytest.raises(ValidationError, match="global"):
        L1Unstructured(scope="local")  # type: ignore[arg-type]


def test_no_pruning_returns_the_network_itself(tiny: Any, make_context: Any) -> None:
    network = tiny()
    assert NoPruning().compress(network, 0.0, make_context(tiny())) is network
    assert NoPruning.levels == "none"
    for name, value in tiny().state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
