"""The thesis on iterative unstructured pruning: how many weights are left, and which values."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import prunebench as pb
from prunebench.data import Data, Normalisation, Split
from prunebench.models.thesis_cnn import ThesisCnn
from prunebench.networks import Architecture
from prunebench.networks.network import apply_masks, from_module, make_masks_permanent
from prunebench.networks.prunable_layers import find_prunable_layers
from prunebench.networks.training import train
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.iterative import Iterative

SUITE = Path(__file__).parent.parent.parent / "benchmarks" / "mnist-thesis-iterative.yaml"

LEFT = [2324, 1858, 1485, 1187, 948, 757, 604, 482, 384, 306, 243, 193, 153]
LEFT += [121, 95, 75, 59, 46, 35, 27, 20, 15, 11, 7, 4, 2]

RECOVERY = Recipe(epochs=1, lr=0.01, momentum=0.9, weight_decay=1e-4, batch_size=16, keep="last")


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": m.weight.detach().clone()
        for name, m in find_prunable_layers(network).items()
    }


def images() -> Data:
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (48, 1, 28, 28), generator=draw, dtype=torch.uint8)
    split = Split(pixels, torch.arange(48) % 10)
    return Data(split, split, split, tuple("0123456789"), Normalisation((0.0,), (1.0,)))


@pytest.mark.slow
def test_25_rounds_leave_the_thesis_s_numbers_of_weights(make_context: Any) -> None:
    torch.manual_seed(0)
    architecture = Architecture(
        factory="thesis-cnn", classes=10, channels=1, size=(28, 28), mean=(0.0,), std=(1.0,)
    )
    module = architecture.build().eval()
    pretrained, data, pruner = weights(module), images(), Iterative()
    biases = {k: v.clone() for k, v in module.state_dict().items() if k.endswith("bias")}
    origin = baseline = copied(module)
    left = [sum(int(w.count_nonzero()) for w in pretrained.values())]
    assert pruner.round_count() == 25
    for k in range(1, pruner.round_count() + 1):
        context = make_context(baseline, round=k, origin=copied(origin))
        found: Any = pruner.compress(module, pruner.level_of_round(k), context)
        network = from_module(found, architecture)
        module, origin = network.module, copied(network.module)
        for name, weight in weights(module).items():
            assert torch.equal(weight, pretrained[name] * network.masks[name])
        for name, bias in biases.items():
            assert torch.equal(module.state_dict()[name], bias)
        left.append(sum(int(mask.sum()) for mask in network.masks.values()))
        apply_masks(module, network.masks)
        train(module, data, data.normalisation, RECOVERY, k, torch.device("cpu"))
        make_masks_permanent(module)
        for name, weight in weights(module).items():  # neither momentum nor decay move a zero
            assert torch.equal(weight != 0, network.masks[name].bool())
    assert left == LEFT
    assert not torch.equal(module.state_dict()["fc.bias"], biases["fc.bias"])  # it did train


def copied(module: nn.Module) -> nn.Module:
    copied = ThesisCnn().build(10, 1, (28, 28)).eval()
    copied.load_state_dict(module.state_dict())
    return copied


def test_the_benchmark_is_the_thesis_s_protocol(
    shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunebench.networks.training import compute_learning_rate

    monkeypatch.setenv("PRUNEBENCH_DATA", str(shared_data("mnist").parent))
    suite = pb.load_suite(SUITE)
    (recovery,) = suite.recoveries
    assert recovery is not None
    rates = [round(compute_learning_rate(recovery, epoch), 6) for epoch in range(recovery.epochs)]
    assert rates == [0.01] * 5 + [0.001] * 3 + [0.0001] * 2
    assert (recovery.momentum, recovery.weight_decay, recovery.batch_size) == (0.9, 1e-4, 128)
    iterative = next(p.plugin for p in suite.pruners if p.name == "iterative")
    assert iterative == Iterative()
    assert suite.seeds == (333, 334, 335)
    assert suite.explain.classes == "own"


MNIST = """
name: short
dataset: {{mnist: {{root: "{root}"}}}}
model: {{thesis-cnn: {{training: {{epochs: 2, images: 4000, lr: 1e-2}}}}}}
pruners: [iterative, {{iterative: {{rewind: 1}}}}]
rounds: [1, 2, 3]
recovery: {{epochs: 4, images: 4000, lr: 1e-2, weight_decay: 1e-4, keep: last}}
cams: [grad-cam++]
metrics: [accuracy, params, soft-iou, mask-iou]
seeds: [333]
explain: {{images: 100, classes: own}}
"""


def records(store: Path) -> dict[str, Any]:
    found = {}
    for path in (store / "records").rglob("*.json"):
        record = json.loads(path.read_text())
        record["measured"] = None
        found[record["id"]] = record
    return found


@pytest.mark.sweep
def test_rounds_on_mnist_killed_and_resumed_are_the_same(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    suite = tmp_path / "short.yaml"
    suite.write_text(MNIST.format(root=shared_data("mnist")))

    def command(store: str) -> list[str]:
        options = ["--store", str(tmp_path / store), "--tracking-uri", "", "--device", "cpu"]
        return [sys.executable, "-m", "prunebench", "run", str(suite), *options]

    scratch = tmp_path / "killed" / "scratch"
    for size in (1, 2, 3):  # each time within a training, once it has a checkpoint
        process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL)
        known = set(scratch.rglob("*")) if scratch.exists() else set()
        while process.poll() is None:
            if scratch.exists() and set(scratch.rglob("*.safetensors")) - known:
                time.sleep(0.1 * size)
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert subprocess.run(command("killed"), check=False).returncode == 0
    assert subprocess.run(command("calm"), check=False).returncode == 0
    assert records(tmp_path / "killed") == records(tmp_path / "calm")
    pruned = [r for r in records(tmp_path / "calm").values() if r["role"] == "compressed"]
    by_round = sorted((r["round"], r["values"]["nonzero_prunable_weights"]["mean"]) for r in pruned)
    assert by_round == sorted([(k, LEFT[k]) for k in (1, 2, 3)] * 2)
