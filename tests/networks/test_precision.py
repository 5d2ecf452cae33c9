"""Training in bf16: where it is bf16, where it is not, and how far it ends from float32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import prunebench as pb
from prunebench.datasets.digits import Digits
from prunebench.networks.network import apply_masks, make_masks_permanent
from prunebench.networks.precision import computing_in
from prunebench.networks.training import train
from prunebench.plugins import choose
from prunebench.plugins.objective import Objective
from prunebench.plugins.recipe import Recipe

CPU = torch.device("cpu")


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


def test_layers_compute_in_bfloat16_and_answer_in_float32() -> None:
    network, seen = make_network(), {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o}))
    images = torch.randn(2, 3, 8, 8)
    wanted = network(images)
    with computing_in("bf16", network):
        found = network(images)
        assert {name: output.dtype for name, output in seen.items()}["0"] == torch.bfloat16
        assert seen["0"].is_contiguous(memory_format=torch.channels_last)
        assert network[0].weight.dtype == torch.float32
    assert found.dtype == torch.float32
    # Eight bits of mantissa, over three layers.
    torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.05)
    assert not torch.equal(found, wanted)


def test_a_network_is_left_as_it_was_found() -> None:
    network = make_network()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match="stop"), computing_in("bf16", network):
        raise ValueError("stop")
    assert "forward" not in vars(network)
    assert all(tensor.is_contiguous() for tensor in network.state_dict().values())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    own = network.forward = lambda images: images * 2  # type: ignore[method-assign]
    with computing_in("bf16", network):
        pass
    assert network.forward is own


def test_a_copy_made_meanwhile_is_a_network_of_its_own() -> None:
    network, images = make_network().eval(), torch.randn(2, 3, 8, 8)
    wanted = network(images)
    with computing_in("bf16", network):
        network(images)
        copied = copy.deepcopy(network)
        torch.testing.assert_close(copied(images), wanted)
        copied(images).sum().backward()
    assert network[0].weight.grad is None
    assert copied[0].weight.grad is not None


class Viewing(nn.Module):
    """Flattens maps by ``view``, which demands that channels come first."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        self.volume = nn.Conv3d(1, 1, 1)
        self.classes = nn.Linear(8 * 36, 4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.volume(self.maps(images)[:, None])
        logits: Tensor = self.classes(maps.view(len(images), -1))
        return logits


def test_code_that_views_maps_runs_with_channels_first() -> None:
    network = Viewing()
    with computing_in("bf16", network):
        for _ in range(2):
            network(torch.randn(4, 3, 8, 8)).sum().backward()
    assert network.maps[1].num_batches_tracked == 2  # not the failed try


def test_losses_are_computed_in_float32() -> None:
    data, seen = Digits().load(), []

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        logits = module(inputs)
        seen.append(F.log_softmax(logits, 1).dtype)
        return F.cross_entropy(logits, labels)

    network = choose("models", "digits-cnn").plugin.build(10, 1, (8, 8))
    recipe = Recipe(epochs=1, images=64, precision="bf16")
    train(network, data, data.normalisation, recipe, 0, CPU, objective=Objective(loss=loss))
    assert set(seen) == {torch.float32}


def test_zeros_stay_zero() -> None:
    data = Digits().load()
    network = choose("models", "digits-cnn").plugin.build(10, 1, (8, 8))
    name, weight = next((n, p) for n, p in network.named_parameters() if p.ndim == 4)
    mask = (torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    apply_masks(network, {name: mask})
    train(network, data, data.normalisation, Recipe(epochs=1, images=64, precision="bf16"), 0, CPU)
    make_masks_permanent(network)
    trained = network.get_parameter(name)
    assert (trained[mask == 0] == 0).all()
    assert (trained[mask == 1] != 0).all()
    assert trained.is_contiguous()


@pytest.mark.sweep
def test_digits_are_learnt_as_well() -> None:
    data = Digits().load()
    accuracies = {}
    for precision in ("float32", "bf16"):
        plugin = choose("models", "digits-cnn").plugin
        torch.manual_seed(0)
        network = plugin.build(10, 1, (8, 8))
        recipe = plugin.recipe().model_copy(update={"precision": precision})
        curve, _ = train(network, data, data.normalisation, recipe, 0, CPU)
        accuracies[precision] = max(point["validation_accuracy"] for point in curve)
    assert accuracies["bf16"] == pytest.approx(accuracies["float32"], abs=0.015)


def test_a_suite_says_it_in_its_keys_and_record(
    toy_suite: Callable[..., Path], tmp_path: Path
) -> None:
    keys = {}
    for precision in ("float32", "bf16"):
        suite = toy_suite(
            model=f"{{toy-cnn: {{training: {{epochs: 1, precision: {precision}}}}}}}",
            pruners="[l1-unstructured]",
            levels="[0.5]",
            recovery=f"{{epochs: 1, precision: {precision}}}",
            cams=None,
            metrics="[accuracy]",
        )
        results = pb.run(suite, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
        (pruned,) = (r for r in results.records if r.role == "compressed")
        keys[precision] = pruned.id
        recovery = pruned.conditions.recovery
        assert recovery is not None
        # The default is not told: rows stay of one protocol with those of before.
        assert recovery.get("precision", "none") == ("bf16" if precision == "bf16" else "none")
    assert keys["float32"] != keys["bf16"]
