"""Int8: codes and sums as integer arithmetic has them, kept without pickle, pruned or not."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from prunebench import run
from prunebench.cams.maps import normalise, upsample
from prunebench.cams.tracer import Tracer
from prunebench.data import Data, Normalisation, Split, batches
from prunebench.errors import RequestError
from prunebench.execution.stages.compress import _as_network, find_axis, measure_pruned
from prunebench.execution.stages.context import make_context
from prunebench.metrics import Evidence, maps
from prunebench.networks import Architecture, Network
from prunebench.networks.network import from_tensors, to_tensors
from prunebench.networks.quantised.folding import fold_batch_norms
from prunebench.networks.quantised.layers import Int8Conv2d, Int8Linear, find_int8_layers
from prunebench.networks.training import train
from prunebench.plugins import choose
from prunebench.plugins import finding as plugins
from prunebench.plugins.recipe import Recipe
from prunebench.pruners.int8 import Int8


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def a_network(name: str = "digits-cnn", channels: int = 1, size: int = 16) -> Network:
    architecture = Architecture(
        factory=name,
        classes=10,
        channels=channels,
        size=(size, size),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    torch.manual_seed(0)
    module = architecture.build()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = noise(layer.num_features, seed=1)
            layer.running_var = noise(layer.num_features, seed=2).abs() + 0.5
    return Network(module.eval(), architecture)


def some_data(channels: int = 1, size: int = 16) -> Data:
    pixels = torch.randint(
        256, (60, channels, size, size), generator=torch.Generator().manual_seed(3)
    ).byte()
    split = Split(pixels, torch.arange(60) % 10)
    look = Normalisation((0.5,) * channels, (0.25,) * channels)
    return Data(split, split, split, tuple("abcdefghij"), look)


def compressed(network: Network, pruner: str, level: float = 0.0, **parameters: Any) -> Network:
    _, height, _ = 0, *network.architecture.size
    data = some_data(network.architecture.channels, height)
    context = make_context(network, network, data, 5)
    plugin = choose("pruners", pruner, parameters).plugin
    return _as_network(plugin.compress(network.copy().module, level, context), network)


def outputs(network: Network, count: int = 8) -> Tensor:
    shape = network.example(count).shape
    with torch.no_grad():
        found: Tensor = network.module(noise(*shape, seed=9))
    return found


# -- what is computed


def round_to_codes(values: Tensor, low: float, high: float) -> Tensor:
    """What 256 affine codes between two bounds, 0 among them, make of values."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    zero = round(-low / step)
    codes = ((values / step).round() + zero).clamp(0, 255)
    return (codes - zero) * step


def round_weights(weight: Tensor) -> Tensor:
    """Each output channel's weights as multiples of a 127th of its largest."""
    steps = weight.flatten(1).abs().amax(1).reshape(-1, *(1 for _ in weight.shape[1:])) / 127
    return (weight / steps).round() * steps


@pytest.mark.slow
@pytest.mark.parametrize("weights_only", [False, True])
def test_it_computes_as_a_naive_quantisation(
    weights_only: bool, tiny: Any, make_context: Any
) -> None:
    context = make_context(tiny())
    network = Int8(observer="minmax", weights_only=weights_only, images=6).compress(
        tiny(), 0.0, context
    )
    layers = list(tiny())
    convolution, norm = layers[0], layers[1]
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    first = nn.Conv2d(3, 12, 3, padding=1)
    assert first.bias is not None
    with torch.no_grad():
        first.weight.copy_(convolution.weight * gain[:, None, None, None])
        first.bias.copy_((convolution.bias - norm.running_mean) * gain + norm.bias)
    ((seen, _),) = context.batches(6, 6)
    unseen = noise(4, 3, 8, 8, seed=4)
    exact, wanted = seen, unseen
    with torch.no_grad():
        for layer in (first, *layers[2:]):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                if not weights_only:
                    wanted = round_to_codes(wanted, float(exact.min()), float(exact.max()))
                rounded = copy.deepcopy(layer)
                rounded.weight.copy_(round_weights(layer.weight))
                exact, wanted = layer(exact), rounded(wanted)
            else:
                exact, wanted = layer(exact), layer(wanted)
        found = network(unseen)
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


def plain_cnn() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        *(nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU()),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Linear(16 * 16, 10),
    ]
    network = nn.Sequential(*layers)
    layers[1].running_mean = 0.3 * noise(12, seed=1)
    layers[1].running_var = noise(12, seed=2).abs() + 0.5
    return network.eval()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_agrees_with_torchaos_own_graph(make_context: Any) -> None:
    pt2e: Any = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    x86: Any = importlib.import_module("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    context = make_context(plain_cnn())
    usual = x86.get_default_x86_inductor_quantization_config()
    symmetric = dataclasses.replace(usual.weight, quant_min=-127)
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(dataclasses.replace(usual, weight=symmetric))
    exported = torch.export.export(plain_cnn(), (noise(6, 3, 8, 8),)).module()
    prepared = pt2e.prepare_pt2e(exported, quantizer)
    with torch.no_grad():
        for images, _ in context.batches(6, 6):
            prepared(images)
    theirs = pt2e.convert_pt2e(prepared)
    ours = Int8(images=6, outputs=False).compress(plain_cnn(), 0.0, context)
    images = noise(6, 3, 8, 8, seed=4)
    with torch.no_grad():
        wanted, found, exact = theirs(images), ours(images), plain_cnn()(images)
    size = wanted.abs().max()
    assert torch.equal(found.argmax(1), wanted.argmax(1))
    assert (found - wanted).abs().max() < 1e-4 * size
    assert (found - exact).abs().max() > 1e-3 * size  # it did round


@pytest.mark.slow
def test_outputs_that_are_added_are_rounded_and_others_are_not() -> None:
    def rounded(**parameters: Any) -> set[str]:
        network = compressed(a_network("resnet20", 3, 16), "int8", images=8, **parameters)
        layers = find_int8_layers(network.module)
        return {name for name, layer in layers.items() if layer.output_scale is not None}

    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)]
    # The first convolution feeds the first block and its shortcut.
    assert rounded() == {"conv1", *(f"{block}.conv2" for block in blocks)}
    assert rounded(outputs=False) == rounded(weights_only=True) == set()


def test_scales_come_from_the_images_and_the_seed_alone() -> None:
    network = a_network()
    first = to_tensors(compressed(network, "int8", images=20))
    torch.manual_seed(99)
    again = to_tensors(compressed(network, "int8", images=20))
    other = to_tensors(compressed(network, "int8", images=10))
    name = "state/linear.input_scale"
    assert all(torch.equal(again[k], v) for k, v in first.items())
    assert not torch.equal(other[name], first[name])
    assert Int8.random


def test_neither_global_random_state_nor_baseline_is_touched(tiny: Any, make_context: Any) -> None:
    context, network = make_context(tiny()), tiny()
    state = torch.get_rng_state()
    Int8(images=6).compress(network, 0.0, context)
    assert torch.equal(state, torch.get_rng_state())
    for name, value in tiny().state_dict().items():
        assert torch.equal(value, context.baseline.state_dict()[name])


def test_gradients_pass_straight_through_unless_clipped() -> None:
    layer: Any = nn.Linear(4, 2)
    context: Any = Inputs(torch.tensor([[-1.0, 0.0, 0.5, 2.0]]))
    Int8(images=1, observer="minmax").compress(nn.Sequential(layer), 0.0, context)
    inputs = torch.tensor([[-1.5, 0.25, 0.5, 3.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(inputs)[0, 1], inputs)
    passed = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    assert torch.equal(gradient, layer.weight.detach()[1:] * passed)


class Inputs:
    """A context that gives these images."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def batches(self, count: int, size: int) -> list[tuple[Tensor, Tensor]]:
        return [(self.images, torch.zeros(len(self.images)))]


# -- folding


class Read(nn.Module):
    """A convolution whose output is normalised, and by choice read by something else."""

    def __init__(self, twice: bool, branch: bool = False) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean, self.norm.running_var = noise(4), noise(4).abs() + 0.5
        self.twice, self.branch = twice, branch

    def forward(self, x: Tensor) -> Tensor:
        if self.branch and x.sum() > 1e9:  # torch.fx cannot follow this
            return x
        y: Tensor = self.conv(x)
        z: Tensor = self.norm(y)
        return z + y if self.twice else z


@pytest.mark.parametrize(("twice", "branch"), [(False, False), (True, False), (False, True)])
def test_batch_norm_is_folded_where_that_changes_nothing(twice: bool, branch: bool) -> None:
    network = Read(twice, branch).eval()
    images = noise(2, 3, 6, 6)
    with torch.no_grad():
        before = network(images)
        fold_batch_norms(network)
        assert torch.allclose(network(images), before, atol=1e-5)
    assert isinstance(network.norm, nn.BatchNorm2d if twice or branch else nn.Identity)


@pytest.mark.parametrize("name", ["digits-cnn", "resnet20", "sp2ps-cifar10"])
def test_folding_keeps_the_logits(name: str) -> None:
    network = a_network(name, *((1, 16) if name == "digits-cnn" else (3, 32)))
    before = outputs(network, 2)
    fold_batch_norms(network.module)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.module.modules())
    assert torch.allclose(outputs(network, 2), before, atol=1e-4 * float(before.abs().max()))


# -- kept, pruned, counted


PRUNED = [("none", 0.0), ("l1-filter", 0.5), ("l1-unstructured", 0.6)]


@pytest.mark.parametrize(("pruner", "level"), PRUNED)
@pytest.mark.parametrize("parameters", [{}, {"weights_only": True}])
def test_kept_without_pickle_it_gives_the_same_bytes(
    pruner: str, level: float, parameters: dict[str, Any]
) -> None:
    network = compressed(compressed(a_network(), pruner, level), "int8", images=20, **parameters)
    stored = network.architecture.model_dump_json()
    again = from_tensors(Architecture.model_validate_json(stored), load(save(to_tensors(network))))
    assert torch.equal(outputs(again), outputs(network))
    assert again.module.state_dict().keys() == network.module.state_dict().keys()
    assert {type(layer) for layer in find_int8_layers(again.module).values()} == {
        Int8Conv2d,
        Int8Linear,
    }
    copied = network.copy()
    assert torch.equal(outputs(copied), outputs(network))


@pytest.mark.parametrize(("pruner", "level"), PRUNED)
def test_what_was_pruned_stays_pruned(pruner: str, level: float) -> None:
    baseline = a_network()
    pruned = compressed(baseline, pruner, level)
    network = compressed(pruned, "int8", images=20)
    before, after = measure_pruned(pruned, baseline), measure_pruned(network, baseline)
    assert after["channels"] == before["channels"]
    assert after["macs"] == before["macs"]
    assert before["weights"] <= after["weights"] <= before["weights"] + 0.05
    assert find_axis(network, baseline) == "quantised"
    codes = {name: layer.codes for name, layer in find_int8_layers(network.module).items()}
    for name, mask in pruned.masks.items():
        assert not codes[name.removesuffix(".weight")][mask == 0].any()


def test_architectures_written_before_have_nothing_quantised() -> None:
    written = a_network().architecture.model_dump(exclude={"quantised", "folded"})
    assert Architecture.model_validate(written) == a_network().architecture


def measure(metric: str, network: Network) -> dict[str, float]:
    evidence = Evidence({"network": lambda: network}, torch.device("cpu"))
    return dict(choose("metrics", metric).plugin.compute(evidence))


@pytest.mark.parametrize("name", ["digits-cnn", "sp2ps-stl10"])
def test_what_it_costs(name: str) -> None:
    network = a_network(name, *((1, 16) if name == "digits-cnn" else (3, 96)))
    found = compressed(network, "int8", images=4)
    assert measure("macs", found)["macs"] == measure("macs", network)["macs"]
    before, after = measure("params", network), measure("params", found)
    assert after["prunable_weights"] == before["prunable_weights"]
    # Scales of BatchNorms become part of weights; those of the Sp2PS networks have none.
    scales = sum(
        layer.weight.numel()
        for layer in network.module.modules()
        if isinstance(layer, nn.BatchNorm2d) and layer.weight is not None
    )
    assert after["params"] == before["params"] - scales
    wanted = after["prunable_weights"] + 4 * (after["params"] - after["prunable_weights"])
    assert wanted < measure("size", found)["size_bytes"] < wanted + 20_000
    flops = [measure("flops-sp2ps", each)["flops_sp2ps"] for each in (network, found)]
    assert flops[1] == pytest.approx(flops[0], rel=1e-9)


def test_training_leaves_it_as_it_is() -> None:
    network = compressed(a_network(), "int8", images=20)
    network.module.requires_grad_(True)
    before = {k: v.clone() for k, v in network.module.state_dict().items()}
    data, look = some_data(), network.architecture.normalisation
    found = train(network.module, data, look, Recipe(epochs=1, lr=0.1), 0, torch.device("cpu"))
    assert found == ([], 0)
    after = network.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(layer.training for layer in network.module.modules())


def test_a_network_without_parameters_to_train_is_left_as_it_is() -> None:
    network = a_network()
    network.module.requires_grad_(False)
    before = {k: v.clone() for k, v in network.module.state_dict().items()}
    look = network.architecture.normalisation
    assert train(network.module, some_data(), look, Recipe(epochs=1), 0, torch.device("cpu")) == (
        [],
        0,
    )
    assert all(torch.equal(network.module.state_dict()[k], v) for k, v in before.items())


# -- explained


@pytest.mark.parametrize("parameters", [{}, {"weights_only": True}])
def test_it_is_explained_by_gradients_in_two_parts(parameters: dict[str, Any]) -> None:
    network = compressed(a_network(), "int8", images=20, **parameters)
    images = noise(3, 1, 16, 16, seed=6)
    tracer = Tracer(network.module, "stage2", images)
    assert tracer.uncut == ""
    trace = tracer(images)
    kept: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = network.module.get_submodule("stage2").register_forward_hook(keep)
    logits = network.module(images.requires_grad_())
    logits.gather(1, trace.classes[:, None]).sum().backward()
    handle.remove()
    assert torch.allclose(trace.logits, logits, atol=1e-5)
    gradient = kept[0].grad
    assert gradient is not None
    assert gradient.abs().max() > 0
    assert torch.allclose(trace.gradients, gradient, atol=1e-6)


@pytest.mark.parametrize("cam", ["cam", "grad-cam++", "ablation-cam", "eigen-cam", "full-grad"])
def test_maps_are_near_those_of_the_network_it_was(cam: str) -> None:
    baseline = a_network()
    network = compressed(baseline, "int8", images=20)
    images = noise(6, 1, 16, 16, seed=6)
    found = []
    for each in (baseline, network):
        trace = Tracer(each.module, "stage3", images)(images, torch.arange(6))
        found.append(upsample(normalise(choose("cams", cam).plugin(trace)), (16, 16)))
    assert maps.sp2ps(found[0], found[1]).nanmean() > 0.85


# -- requests


def test_requests_that_cannot_be_met(
    monkeypatch: pytest.MonkeyPatch, tiny: Any, make_context: Any
) -> None:
    context = make_context(tiny())
    with pytest.raises(RequestError, match="Flatten runs no"):
        Int8().compress(nn.Flatten(), 0.0, context)
    network = Int8(images=6).compress(tiny(), 0.0, context)
    with pytest.raises(RequestError, match="8-bit weights already"):
        Int8().compress(network, 0.0, context)
    with pytest.raises(RequestError, match="histogram"):
        choose("pruners", "int8", {"observer": "median"})
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "prunebench.pruners.int8.find_spec", lambda name: None if name == "torchao" else find(name)
    )
    with pytest.raises(RequestError, match=r"prunebench\[quantisation\]"):
        Int8()


def test_layers_that_do_more_than_their_class_stay_as_they_are(make_context: Any) -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), Doubled(8, 5)).eval()
    assert set(find_int8_layers(Int8().compress(network, 0.0, make_context(network)))) == {"1"}


@pytest.mark.slow
def test_in_a_suite(toy_suite: Callable[..., Path], tmp_path: Path) -> None:
    plugins.entries.cache_clear()
    suite = toy_suite(
        pruners="[{int8: {images: 30}}, l1-filter]",
        levels="[0.3]",
        cams="[grad-cam]",
        metrics="[accuracy, sp2ps]",
    )
    results = run(suite, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert not results.failed
    (record,) = (each for each in results.records if each.pruner_name == "int8")
    assert (record.axis, record.level, record.images_seen) == ("quantised", None, 0)
    assert record.conditions.recovery is not None
    text = results.leaderboard()
    assert "### Quantised: weights have 8 bits" in text
    ranked, _, quantised = text.partition("### Quantised")
    assert "int8" not in ranked.partition("### Dense")[2]
    assert "int8" in quantised


@pytest.mark.slow
def test_a_trained_network_keeps_its_predictions_and_its_maps(
    shared_data: Callable[[str], Path], shared_weights: Callable[[str], Path]
) -> None:
    from prunebench.model_files.loaded_weights import load_weights
    from prunebench.model_files.weights import read_weights

    data = choose("datasets", "parquet", {"path": shared_data("cifar10-jpeg")}).plugin.load()
    look = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    architecture = Architecture(
        factory="resnet20", classes=10, channels=3, size=(32, 32), mean=look.mean, std=look.std
    )
    module = architecture.build()
    weights = shared_weights("resnet20-12fca82f.th")
    load_weights(module, read_weights(weights), where=str(weights))
    baseline = Network(module.eval(), architecture)
    context = make_context(baseline, baseline, data, 5)
    network = _as_network(Int8().compress(baseline.copy().module, 0.0, context), baseline)
    chosen = torch.arange(500)
    ((images, labels),) = batches(data.test, look, 500, torch.device("cpu"), chosen)
    with torch.no_grad():
        before, after = baseline.module(images), network.module(images)
    lost = (before.argmax(1) == labels).float().mean() - (after.argmax(1) == labels).float().mean()
    assert abs(float(lost)) < 0.02
    assert (before.argmax(1) == after.argmax(1)).float().mean() > 0.95
    found = []
    for each in (baseline, network):
        trace = Tracer(each.module, "layer3", images[:50])(images[:50], before[:50].argmax(1))
        found.append(upsample(normalise(choose("cams", "grad-cam").plugin(trace)), (32, 32)))
    assert maps.sp2ps(found[0], found[1]).mean() > 0.95
