"""ONNX files become networks of layers that give ONNX Runtime's logits."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported_networks import IMAGES, SIZE, Small, Tokens, hold_maps_to, make, settle
from torch import nn

from prunebench import explain, to_onnx
from prunebench.errors import RequestError
from prunebench.model_files.graphs.onnx_file import read_onnx
from prunebench.networks import Architecture, Network

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
helper = onnx.helper
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def write_new(
    network: nn.Module, path: Path, size: int = SIZE, batch: int | None = None, **more: Any
) -> Path:
    shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
    given = (torch.randn(batch or 2, 3, size, size),)
    torch.onnx.export(
        network, given, str(path), dynamo=True, dynamic_shapes=shapes, verbose=False, **more
    )
    return path


def write_old(
    network: nn.Module, path: Path, size: int = SIZE, batch: int | None = None, **more: Any
) -> Path:
    axes = {"images": {0: "batch"}} if batch is None else None
    given = (torch.randn(batch or 2, 3, size, size),)
    names = {"input_names": ["images"], "dynamic_axes": axes}
    torch.onnx.export(network, given, str(path), dynamo=False, **names, **more)
    return path


@pytest.mark.parametrize("write", [pytest.param(write_new, marks=pytest.mark.slow), write_old])
def test_layers_and_maps_are_the_originals(tmp_path: Path, write: Write) -> None:
    network = make(Small)
    found = read_onnx(write(network, tmp_path / "a.onnx"))
    layers = dict(found.module.named_modules())
    convolutions = {n for n, each in network.named_modules() if isinstance(each, nn.Conv2d)}
    assert convolutions == {n for n, each in layers.items() if isinstance(each, nn.Conv2d)}
    assert isinstance(layers["head.1"], nn.Linear)
    assert "blocks.1" in layers
    assert (found.input_size, found.channels) == ((SIZE, SIZE), 3)
    assert "equal to ONNX Runtime" in found.notes[0]
    hold_maps_to(found.module, network, of_ablation=5e-3)


@pytest.mark.parametrize("write", [pytest.param(write_new, marks=pytest.mark.slow), write_old])
@pytest.mark.parametrize("kind", [Small, Tokens])
def test_batches_of_any_size_run(tmp_path: Path, write: Write, kind: type[nn.Module]) -> None:
    network = make(kind)
    for batch in (None, 1):
        converted = read_onnx(write(network, tmp_path / "a.onnx", batch=batch)).module
        with torch.no_grad():
            assert torch.allclose(converted(IMAGES), network(IMAGES), atol=1e-5)


@pytest.mark.slow
def test_our_own_files_tell_the_normalisation(tmp_path: Path) -> None:
    look = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    architecture = Architecture(
        factory="resnet8", classes=10, channels=3, size=(32, 32), parameters={}, **look
    )
    network = Network(architecture.build().eval(), architecture)
    to_onnx(network, tmp_path / "a.onnx")
    found = read_onnx(tmp_path / "a.onnx")
    assert found.normalisation == (look["mean"], look["std"])
    assert "layer3.0.conv2" in dict(found.module.named_modules())


def split(path: Path) -> Path:
    """Move a file's weights into one beside it."""
    onnx.save(
        onnx.load(str(path)),
        str(path),
        save_as_external_data=True,
        location="a.data",
        size_threshold=0,
    )
    return path


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    path = split(write_old(make(Small), tmp_path / "a.onnx"))
    assert read_onnx(path).channels == 3


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link.bin"])
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(4096))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    path = split(write_old(make(Small), folder / "a.onnx"))
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    onnx.save(model, str(path))
    with pytest.raises(RequestError, match=r"a.onnx: reads weights outside of its folder"):
        read_onnx(path)


@pytest.mark.parametrize("by_channel", [True, False])
def test_8_bit_files_compute_with_the_rounded_numbers(tmp_path: Path, by_channel: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter([{"images": IMAGES.numpy()}])

        def get_next(self) -> Any:
            return next(self.batches, None)

    plain, rounded = write_old(make(Small), tmp_path / "a.onnx"), tmp_path / "b.onnx"
    quantize_static(plain, rounded, Reader(), quant_format=QuantFormat.QDQ, per_channel=by_channel)
    found = read_onnx(rounded)
    assert "8-bit numbers are computed in floating point" in found.notes
    layer = found.module.get_submodule("blocks.0.conv2")
    assert isinstance(layer, nn.Conv2d)
    weight = layer.weight
    assert len(weight[0].unique()) <= 256
    maps, before = (
        explain(each, IMAGES, ("grad-cam",), targets=0, quiet=True)["grad-cam"]
        for each in (found.module, read_onnx(plain).module)
    )
    assert 0 < (maps - before).abs().mean() < 0.1
    quantize_static(plain, rounded, Reader(), quant_format=QuantFormat.QOperator)
    with pytest.raises(RequestError, match=r"cannot be converted: .*QLinearConv"):
        read_onnx(rounded)


def build(
    path: Path, nodes: list[Any], *constants: Any, shape: tuple[Any, ...] = ("n", 3, 8, 8)
) -> Path:
    """Write a graph from ``images`` to ``logits``."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ("n", None))],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants],
    )
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    return path


WEIGHT = ("conv.weight", np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32))
MEAN = helper.make_node("GlobalAveragePool", ["maps"], ["pooled"])
FLAT = helper.make_node("Flatten", ["pooled"], ["logits"])


@pytest.mark.parametrize(
    "settings",
    [
        {"pads": [0, 1, 1, 0]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        {"auto_pad": "VALID", "dilations": [2, 2]},
    ],
)
def test_padding_is_that_of_onnx_runtime(tmp_path: Path, settings: dict[str, Any]) -> None:
    convolve = helper.make_node("Conv", ["images", "conv.weight"], ["maps"], **settings)
    assert read_onnx(build(tmp_path / "a.onnx", [convolve, MEAN, FLAT], WEIGHT)).channels == 3


@pytest.mark.parametrize("size", [None, 8])
def test_a_file_that_tells_no_size_is_tried_on_some(tmp_path: Path, size: int | None) -> None:
    convolve = helper.make_node("Conv", ["images", "conv.weight"], ["maps"])
    shape = ("n", None, size, size)
    found = read_onnx(build(tmp_path / "a.onnx", [convolve, MEAN, FLAT], WEIGHT, shape=shape))
    assert found.input_size == (size and (size, size))


def test_all_unknown_operators_are_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["images", "conv.weight"], ["found"]),
        helper.make_node("Det", ["found"], ["maps"]),
        helper.make_node("FusedMatMul", ["maps", "maps"], ["logits"], domain="com.microsoft"),
    ]
    with pytest.raises(RequestError, match="converted: Det, FusedMatMul; give the module"):
        read_onnx(build(tmp_path / "a.onnx", nodes, WEIGHT))


def test_other_logits_than_onnx_runtimes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunebench.model_files.graphs.onnx_operators import OPERATORS

    path = write_old(make(Small), tmp_path / "a.onnx")
    monkeypatch.setitem(OPERATORS, "Relu", OPERATORS["Sigmoid"])
    with pytest.raises(RequestError, match="logits differ from those of ONNX Runtime by"):
        read_onnx(path)


def test_channels_last_and_other_inputs_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["images"], ["logits"])]
    with pytest.raises(RequestError, match="channels last"):
        read_onnx(build(tmp_path / "a.onnx", nodes, shape=("n", 8, 8, 3)))
    with pytest.raises(RequestError, match="expected images alone"):
        read_onnx(build(tmp_path / "a.onnx", nodes, shape=("n", 8)))


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    whole = write_old(make(Small), tmp_path / "whole.onnx")
    cut, text, empty = (tmp_path / f"{name}.onnx" for name in ("cut", "text", "empty"))
    cut.write_bytes(whole.read_bytes()[:3000])
    text.write_text("a network")
    empty.touch()
    for path in (cut, text, empty, tmp_path / "none.onnx", tmp_path):
        with pytest.raises(RequestError) as refused:
            read_onnx(path)
        assert str(path) in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_new, write_old])
@pytest.mark.parametrize(
    ("name", "head"), [("mobilenet_v3_small", "classifier.3"), ("resnet18", "fc")]
)
def test_pruned_networks_are_explained_as_before(
    tmp_path: Path, name: str, head: str, write: Write
) -> None:
    from pruned_networks import prune

    network = settle(prune(name, head), 64)
    converted = read_onnx(write(network, tmp_path / "a.onnx", size=64)).module
    hold_maps_to(converted, network, torch.randn(2, 3, 64, 64), of_ablation=5e-3)
