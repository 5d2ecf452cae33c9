from __future__ import annotations

from typing import Any

import pytest
import torch

from prunebench.plugins.preparing import prepared
from prunebench.pruners.filters.feature_scores import compute_ranks
from prunebench.pruners.filters.hrank import FeatureRanks, HRank


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 16), (7, 12), (12, 5), (1, 9), (1, 1), (2, 2)])
def test_ranks_are_those_of_a_loop(shape: tuple[int, int]) -> None:
    maps = (noise(5, 6, *shape) - 0.8).relu()
    maps[0, 0] = 0
    maps[1, 1] = torch.outer(noise(shape[0], seed=1), noise(shape[1], seed=2))
    expected = [[int(torch.linalg.matrix_rank(matrix)) for matrix in image] for image in maps]
    found = compute_ranks(maps)
    assert found.tolist() == expected
    assert found[0, 0] == 0
    assert found[1, 1] == 1
    assert found.max() <= min(shape)


def test_ranks_of_known_matrices() -> None:
    maps = torch.zeros(1, 4, 6, 8)
    maps[0, 1] = 2.5
    maps[0, 2, :3, :3] = torch.eye(3)
    maps[0, 3] = torch.eye(6, 8)
    assert compute_ranks(maps).tolist() == [[0, 1, 3, 6]]


def test_a_map_of_one_place_has_rank_one_where_it_is_not_zero() -> None:
    assert compute_ranks(torch.tensor([[0.0, 0.3, -2.0], [1e-20, 0.0, 0.0]])).tolist() == [
        [0, 1, 1],
        [1, 0, 0],
    ]


@torch.no_grad()
def test_scores_are_mean_ranks_of_maps_after_the_activation(tiny: Any, make_context: Any) -> None:
    network = tiny()
    context = make_context(network)
    found = FeatureRanks(images=6).compute(network, context)
    ((inputs, _),) = context.batches(6, 6)
    for name, end in {"0": 3, "3": 5}.items():
        maps = network[:end](inputs)
        each = [[float(torch.linalg.matrix_rank(matrix)) for matrix in image] for image in maps]
        assert torch.allclose(found[name], torch.tensor(each).double().mean(0))
    active = (network[:9](inputs) != 0).double().mean(0)
    assert torch.allclose(found["7"], active)


def test_every_layer_loses_the_same_fraction_of_its_lowest(tiny: Any, make_context: Any) -> None:
    network = tiny()
    pruner = HRank(images=6, target="channels")
    context = prepared(pruner.prepare(), network, make_context(network))
    pruned: Any = pruner.compress(tiny(), 0.25, context)
    assert [pruned[0].out_channels, pruned[3].out_channels, pruned[7].out_features] == [9, 15, 12]
    lowest = context.prepared["scores"]["0"].argsort(stable=True)[:3].tolist()
    kept = sorted(set(range(12)) - set(lowest))
    assert torch.equal(pruned[0].weight, network[0].weight[kept])


def test_rates_by_layer(tiny: Any, make_context: Any) -> None:
    network = tiny()
    pruner = HRank(images=6, target="channels", rates={"0": 0.5, "3": 0.25})
    context = prepared(pruner.prepare(), network, make_context(network))
    # 6 of 12 and 5 of 20 channels, of 48 that may be removed.
    pruned: Any = pruner.compress(tiny(), 11 / 48, context)
    assert [pruned[0].out_channels, pruned[3].out_channels, pruned[7].out_features] == [6, 15, 16]


def test_768_images_are_six_batches_of_128() -> None:
    (preparation,) = HRank().prepare()
    assert preparation == FeatureRanks(images=6 * 128)
    assert HRank().scope == "layerwise"
