from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.networks.network import make_masks_permanent
from prunebench.plugins import choose
from prunebench.pruners.weights.semi_structured import SemiStructured
from prunebench.seeding import seeded


@pytest.fixture
def network() -> nn.Module:
    with seeded(1, "network"):
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),  # three input channels
            nn.Conv2d(16, 8, 3, padding=1),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),  # depthwise
            nn.Conv2d(8, 8, 3, padding=1, groups=2),  # grouped, four channels a group
            nn.ConvTranspose2d(8, 8, 1),
            nn.Conv2d(8, 12, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 10),
            nn.Linear(10, 5),
        ).eval()


def masks_of(network: nn.Module, context: Any, **parameters: int) -> dict[str, Tensor]:
    masked = SemiStructured(**parameters).compress(network, 0.0, context)
    return make_masks_permanent(masked)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4), (1, 2), (2, 8)])
def test_exactly_n_of_every_m_stay_and_they_are_the_largest(
    n: int, m: int, network: nn.Module, make_context: Any
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    masks = masks_of(network, make_context(network), n=n, m=m)
    assert "1.weight" in masks
    for name, mask in masks.items():
        weight = before[name]
        assert torch.equal(network.get_parameter(name), weight * mask)
        # Input channels one after the other, at the same output and place in the kernel.
        rows = weight.movedim(1, -1).reshape(-1, weight.shape[1])
        kept = mask.movedim(1, -1).reshape(-1, weight.shape[1])
        for start in range(0, weight.shape[1], m):
            group, stays = rows[:, start : start + m].abs(), kept[:, start : start + m].bool()
            assert (stays.sum(1) == n).all()
            smallest_kept = group.masked_fill(~stays, torch.inf).amin(1)
            assert (smallest_kept >= group.masked_fill(stays, 0).amax(1)).all()


def test_layers_whose_inputs_form_no_groups_stay_dense(
    network: nn.Module, make_context: Any
) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    masks = masks_of(network, make_context(network))
    assert set(masks) == {"1.weight", "5.weight", "8.weight"}
    for name, value in network.state_dict().items():
        if name not in masks:
            assert torch.equal(value, before[name])


def test_equal_weights_are_told_apart(make_context: Any) -> None:
    network = nn.Sequential(nn.Linear(8, 3))
    nn.init.ones_(network[0].weight)  # type: ignore[arg-type]
    masks = masks_of(network, make_context(network))
    assert (masks["0.weight"].view(3, 2, 4).sum(-1) == 2).all()


def test_rows_fit_the_sparse_format_of_pytorch(make_context: Any) -> None:
    # Half of each row goes, so that compressed rows have one length.
    network = nn.Sequential(nn.Linear(64, 32))
    mask = masks_of(network, make_context(network))["0.weight"]
    assert (mask.sum(1) == 32).all()


def test_there_is_no_level() -> None:
    assert SemiStructured.levels == "none"
    assert not SemiStructured.random


def test_a_network_without_groups_is_refused_before_anything_runs(make_context: Any) -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(5 * 36, 4))
    context = make_context(network)
    with pytest.raises(RequestError, match="groups of 8"):
        SemiStructured(n=4, m=8).check(network, context)
    with pytest.raises(RequestError, match="groups of 8"):
        SemiStructured(n=4, m=8).compress(network, 0.0, context)


def test_a_pattern_that_removes_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="expected less than 'm'"):
        choose("pruners", "semi-structured", {"n": 4, "m": 4})
