"""ONNX files compute what the network computes, whichever way it was compressed."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prunebench.data import Data, Normalisation, Split
from prunebench.errors import RequestError
from prunebench.execution.stages.compress import _as_network
from prunebench.execution.stages.context import make_context
from prunebench.networks import Architecture, Network
from prunebench.networks.onnx_export import OPSET, Deployed, to_onnx
from prunebench.networks.quantised.layers import find_int8_layers
from prunebench.plugins import choose

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def a_network(
    factory: str, size: int, channels: int = 3, parameters: dict[str, Any] | None = None
) -> Network:
    architecture = Architecture(
        factory=factory,
        parameters=parameters or {},
        classes=10,
        channels=channels,
        size=(size, size),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    torch.manual_seed(0)
    module = architecture.build()
    draw = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = 0.2 * torch.randn(layer.num_features, generator=draw)
            layer.running_var = 0.5 + torch.rand(layer.num_features, generator=draw)
    return Network(module.eval(), architecture)


def compressed(network: Network, pruner: str, level: float, **parameters: Any) -> Network:
    architecture = network.architecture
    shape = (24, architecture.channels, *architecture.size)
    pixels = torch.randint(256, shape, generator=torch.Generator().manual_seed(3)).byte()
    split = Split(pixels, torch.arange(24) % 10)
    data = Data(split, split, split, tuple("abcdefghij"), Normalisation((0.5,), (0.25,)))
    context = make_context(network, network, data, 5)
    plugin = choose("pruners", pruner, parameters).plugin
    return _as_network(plugin.compress(network.copy().module, level, context), network)


def images_for(network: Network, count: int) -> Tensor:
    draw = torch.Generator().manual_seed(9)
    return torch.rand(network.example(count).shape, generator=draw) * 4 - 2


def plainly(path: Path, images: Tensor) -> Tensor:
    """Runs a file operator by operator: what it says, without what a runtime makes of it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def agree(network: Network, path: Path, batches: tuple[int, ...] = (1, 3)) -> None:
    deployed = Deployed(path)
    for batch in batches:
        images = images_for(network, batch)
        with torch.no_grad():
            wanted = network.module(images)
        allowed = 1e-4 * wanted.abs().max()
        assert (plainly(path, images) - wanted).abs().max() <= allowed
        if not network.architecture.quantised:
            assert (deployed(images) - wanted).abs().max() <= allowed


CASES = {"none": 0.0, "l1-filter": 0.5, "l1-unstructured": 0.5, "int8": 0.0}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Network, Path]]:
    """Compresses a small network and exports it, once."""

    @cache
    def exported(pruner: str) -> tuple[Network, Path]:
        network = compressed(a_network("digits-cnn", 16, 1), pruner, CASES[pruner])
        path = tmp_path_factory.mktemp(pruner) / "network.onnx"
        to_onnx(network, path)
        return network, path

    return exported


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["l1-filter", "l1-unstructured", "int8"])
def test_a_small_network(pruner: str, small: Callable[[str], tuple[Network, Path]]) -> None:
    agree(*small(pruner))


def test_what_the_file_says(small: Callable[[str], tuple[Network, Path]]) -> None:
    network, path = small("l1-unstructured")
    same = compressed(a_network("digits-cnn", 16, 1), "l1-unstructured", 0.5).module.state_dict()
    assert all(torch.equal(same[k], v) for k, v in network.module.state_dict().items())
    assert list(path.parent.iterdir()) == [path]
    written = onnx.load(path)
    onnx.checker.check_model(written)
    assert [(each.domain, each.version) for each in written.opset_import] == [("", OPSET)]
    assert [value.name for value in written.graph.output] == ["logits"]
    assert str(Path.cwd()) not in str(written)
    about = {each.key: json.loads(each.value) for each in written.metadata_props}
    assert about == {"mean": [0.5], "std": [0.25]}


def test_8_bit_weights_stay_8_bit_and_run_integer_kernels(
    small: Callable[[str], tuple[Network, Path]], tmp_path: Path
) -> None:
    network, path = small("int8")
    graph = onnx.load(path).graph
    layers = find_int8_layers(network.module)
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for name, layer in layers.items():
        assert torch.equal(torch.from_numpy(weights[f"{name}.codes"].copy()), layer.codes)
    kinds = Counter(node.op_type for node in graph.node)
    # Every input, and the output that is averaged.
    rounded = len(layers) + sum(each.output_scale is not None for each in layers.values())
    assert rounded == len(layers) + 1
    assert kinds["QuantizeLinear"] == rounded
    assert kinds["DequantizeLinear"] == rounded + len(layers)
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options)
    run = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert run["QLinearConv"] == len(layers) - 1
    assert run["Conv"] + run["FusedConv"] == 0
    images = images_for(network, 24)
    with torch.no_grad():
        wanted = network.module(images)
    found = Deployed(path)(images)
    # A kernel may round a value to the neighbouring code.
    assert (found - wanted).abs().max() <= 0.05 * wanted.abs().max()
    assert (found.argmax(1) == wanted.argmax(1)).float().mean() >= 0.95


@pytest.mark.slow
def test_a_network_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(12, 10)

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.linear(images.flatten(1))
            return found if found.sum() > 0 else -found

    architecture = a_network("digits-cnn", 4, 3).architecture.model_copy(update={"size": (2, 2)})
    with pytest.raises(RequestError, match="digits-cnn cannot be exported to ONNX: "):
        to_onnx(Network(Deciding().eval(), architecture), tmp_path / "network.onnx")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "prunebench.networks.onnx_export.find_spec",
        lambda name: None if name == "onnx" else find(name),
    )
    with pytest.raises(RequestError, match=r"package onnx: pip install 'prunebench\[onnx\]'"):
        to_onnx(a_network("digits-cnn", 16, 1), tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("pruner", CASES)
def test_resnet20(pruner: str, tmp_path: Path) -> None:
    network = compressed(a_network("resnet20", 32), pruner, CASES[pruner])
    to_onnx(network, tmp_path / "network.onnx")
    if pruner != "int8":
        agree(network, tmp_path / "network.onnx")
        return
    images = images_for(network, 4)
    with torch.no_grad():
        wanted = network.module(images)
    # Twenty layers of rounding: sums in another order may take a value to the neighbouring code.
    found = plainly(tmp_path / "network.onnx", images)
    assert (found - wanted).abs().max() <= 0.05 * wanted.abs().max()


@pytest.mark.sweep
@pytest.mark.parametrize(("factory", "size"), [("sp2ps-cifar10", 32), ("sp2ps-stl10", 96)])
def test_networks_of_the_sp2ps_paper(factory: str, size: int, tmp_path: Path) -> None:
    network = compressed(a_network(factory, size), "l1-filter", 0.2)
    to_onnx(network, tmp_path / "network.onnx")
    agree(network, tmp_path / "network.onnx", (2,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        *(pytest.param(n, marks=pytest.mark.sweep) for n in ("vgg16_bn", "densenet121")),
    ],
)
def test_torchvisions_networks_pruned_to_a_half(name: str, tmp_path: Path) -> None:
    network = a_network(f"torchvision/{name}", 64, parameters={"name": name})
    pruned = compressed(network, "l1-filter", 0.5)
    to_onnx(pruned, tmp_path / "network.onnx")
    agree(pruned, tmp_path / "network.onnx", (1, 2))
