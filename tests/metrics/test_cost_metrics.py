"""Cost plugins: the Sp2PS paper's own numbers, masks, bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune

from prunebench.metrics import Evidence
from prunebench.metrics.sp2ps_equations import sp2ps_flops
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_module
from prunebench.plugins import choose

SIZES = {"sp2ps-cifar10": (32, 32), "sp2ps-stl10": (96, 96)}


def measure(metric: str, network: Network) -> dict[str, float]:
    evidence = Evidence({"network": lambda: network}, torch.device("cpu"))
    return dict(choose("metrics", metric).plugin.compute(evidence))


def paper_network(name: str) -> Network:
    parameters: dict[str, Any] = {"factory": name, "classes": 10, "channels": 3}
    architecture = Architecture(**parameters, size=SIZES[name], mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.manual_seed(0)
    return Network(architecture.build().eval(), architecture)


@pytest.fixture(scope="module")
def cifar10_network() -> Network:
    return paper_network("sp2ps-cifar10")


def small_network(classes: int = 10) -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, classes)]
    architecture = Architecture(
        factory="made.py:here",
        classes=classes,
        channels=3,
        size=(8, 8),
        mean=(0,) * 3,
        std=(1,) * 3,
    )
    return Network(nn.Sequential(*layers).eval(), architecture)


def test_flops_and_params_of_the_paper(cifar10_network: Network) -> None:
    assert measure("flops-sp2ps", cifar10_network) == {"flops_sp2ps": 1_252_821_248}
    counted = measure("params", cifar10_network)
    assert (counted["params"], counted["prunable_weights"]) == (9_306_250, 9_303_424)
    other = paper_network("sp2ps-stl10")
    assert measure("flops-sp2ps", other) == {"flops_sp2ps": 242_456_256}
    counted = measure("params", other)
    assert (counted["params"], counted["prunable_weights"]) == (1_128_650, 1_127_776)


def test_macs_are_half_of_the_paper_flops_without_pooling(cifar10_network: Network) -> None:
    pooling = 8 * 8 * 128 + 4 * 4 * 256 + 2 * 2 * 512 + 1024 / 4
    found = measure("macs", cifar10_network)
    assert found["flops"] == 2 * found["macs"] == 1_252_821_248 - pooling
    assert found["effective_macs"] == found["macs"]


@pytest.mark.parametrize("masked", [False, True], ids=["removed", "masked"])
def test_first_layer_of_the_paper(masked: bool) -> None:
    layer = nn.Conv2d(3, 128, 3, padding=1)
    example = torch.zeros(1, 3, 32, 32)
    assert sp2ps_flops(nn.Sequential(layer), example) == {"0": 7_077_888}
    assert sum(p.numel() for p in layer.parameters()) == 3_584
    if masked:
        prune.ln_structured(layer, "weight", amount=0.2, n=1, dim=0)
        assert sp2ps_flops(nn.Sequential(layer), example) == {"0": 5_640_192}
    else:
        layer = nn.Conv2d(3, 102, 3, padding=1)
        assert sum(p.numel() for p in layer.parameters()) == 2_856
        assert sp2ps_flops(nn.Sequential(layer), example) == {"0": 5_640_192}


def test_equations_leave_no_hooks_even_where_the_network_fails() -> None:
    network = small_network().module
    sp2ps_flops(network, torch.zeros(1, 3, 8, 8))
    with pytest.raises(RuntimeError):
        sp2ps_flops(network, torch.zeros(1, 5, 8, 8))
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_mask_changes_density_but_not_params_or_macs() -> None:
    network = small_network()
    before = measure("params", network) | measure("macs", network)
    assert before["density"] == 1
    prune.global_unstructured(
        [(network.module[0], "weight"), (network.module[3], "weight")],
        prune.L1Unstructured,
        amount=0.5,
    )
    for layer in (network.module[0], network.module[3]):
        prune.remove(layer, "weight")
    after = measure("params", network) | measure("macs", network)
    for same in ("params", "prunable_weights", "macs", "flops"):
        assert after[same] == before[same]
    assert after["nonzero_prunable_weights"] == before["prunable_weights"] / 2
    assert after["nonzero_params"] == before["params"] - before["prunable_weights"] / 2
    assert after["density"] == pytest.approx(after["nonzero_params"] / before["params"])
    densities = [
        layer.weight.count_nonzero().item() / layer.weight.numel()
        for layer in (network.module[0], network.module[3])
    ]
    macs = 27 * 16 * 36, 16 * 36 * 10
    expected = sum(d * m for d, m in zip(densities, macs, strict=True))
    assert after["effective_macs"] == pytest.approx(expected)


def test_size_is_that_of_the_file_and_zeros_zip_well(tmp_path) -> None:
    network = small_network()
    whole = measure("size", network)
    save_file(network.module.state_dict(), tmp_path / "network.safetensors")
    assert whole["size_bytes"] == (tmp_path / "network.safetensors").stat().st_size
    with torch.no_grad():
        weight = network.module[3].weight
        weight[torch.rand_like(weight) < 0.9] = 0
    masked = measure("size", network)
    assert masked["size_bytes"] == whole["size_bytes"]
    assert masked["size_zipped_bytes"] < 0.4 * whole["size_zipped_bytes"]


def test_size_of_shared_weights() -> None:
    network = small_network()
    network.module.append(network.module[0])
    assert measure("size", network)["size_bytes"] > 0


@pytest.mark.slow
def test_masks_of_a_network_are_not_stored_twice() -> None:
    network = paper_network("sp2ps-stl10")
    plain = measure("size", network)["size_bytes"]
    layer = next(m for m in network.module.modules() if isinstance(m, nn.Conv2d))
    prune.l1_unstructured(layer, "weight", amount=0.5)
    masked = from_module(network.module, network.architecture)
    assert masked.masks
    assert measure("size", masked)["size_bytes"] == plain
