"""No file that holds a graph runs code of whoever made it, or writes a file."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from exported_networks import IMAGES, export
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.model_files.graphs.exported_program import read_exported_program
from prunebench.model_files.graphs.same_logits import check_logits
from prunebench.model_files.graphs.torch_script import read_torch_script
from prunebench.model_files.model_text import ModelText
from prunebench.model_files.opened_model import InputShape, open_model
from prunebench.model_files.weights import read_network

READERS: list[Callable[[Path], object]] = [read_torch_script, read_network]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "touched"


HOSTILE = 'a", open("touched", "w") or "'
"""A name that torch.fx would write as ``getattr(self, "a", open(...) or "")``."""


def rewrite(path: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> Path:
    target = path.with_stem("hostile")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            new.writestr(*change(entry.filename, old.read(entry)))
    return target


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("marker", torch.full((1, 4, 1, 1), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.marker


class Net(nn.Module):
    def __init__(self, middle: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.seq = nn.Sequential()
        self.seq.add_module("77", middle or Scaled())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.seq(self.conv(x)).mean((2, 3)))


def test_a_name_in_an_onnx_file_is_no_code(tmp_path: Path, touched: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from prunebench.model_files.graphs.onnx_file import read_onnx

    name = HOSTILE
    weights = {"conv.weight": (4, 3, 3, 3), name: (1, 4, 1, 1), f"{name}{name}": (4, 1, 1)}
    make, kind = onnx.helper.make_node, onnx.TensorProto.FLOAT
    steps = [
        make("Conv", ["images", "conv.weight"], ["a"], name=f"/{name}/b/Conv"),
        make("Mul", ["a", name], ["b"], name=f"/{name}/c/Mul"),
        make("Mul", ["b", f"{name}{name}"], ["c"]),
        make("GlobalAveragePool", ["c"], ["d"]),
        make("Flatten", ["d"], ["out"]),
    ]
    tell = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        steps,
        "graph",
        [tell("images", kind, ["N", 3, 16, 16])],
        [tell("out", kind, ["N", 4])],
        [onnx.numpy_helper.from_array(torch.rand(w).numpy(), n) for n, w in weights.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    path = tmp_path / "a.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    found = read_onnx(path)
    assert "equal to ONNX Runtime" in found.notes[0]
    assert not touched.exists()


@pytest.mark.parametrize("text", ["seq.77.marker", "b_seq_77_marker", "x"])
def test_a_name_in_an_exported_program_is_no_code(tmp_path: Path, touched: Path, text: str) -> None:
    hostile = json.dumps(HOSTILE)[1:-1].encode()

    def change(name: str, content: bytes) -> tuple[str, bytes]:
        if name.endswith(".json"):
            content = content.replace(f'"{text}"'.encode(), b'"' + hostile + b'"')
        return name, content

    path = rewrite(export(Net().eval(), tmp_path / "a.pt2"), change)
    with pytest.raises(RequestError, match=r"holds .*could run code"):
        read_exported_program(path)
    assert not touched.exists()


def test_an_argument_of_an_exported_program_is_no_code(tmp_path: Path, touched: Path) -> None:
    class Keyed(Net):
        def forward(self, *, images: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(images)

    torch.export.save(torch.export.export(Keyed(), (), {"images": IMAGES}), tmp_path / "a.pt2")
    name = 'images=open("touched", "w")'

    def change(path: str, content: bytes) -> tuple[str, bytes]:
        if path.endswith("model.json"):
            told = json.loads(content)
            calls = told["graph_module"]["module_call_graph"]
            whole = calls[0]["signature"]
            nested = json.dumps(json.dumps([name]))[1:-1]
            whole["in_spec"] = whole["in_spec"].replace(r"[\"images\"]", nested)
            assert "open" in whole["in_spec"]
            whole["forward_arg_names"] = None
            content = json.dumps(told).encode()
        return path, content

    with pytest.raises(RequestError, match=r"holds .*could run code"):
        read_exported_program(rewrite(tmp_path / "a.pt2", change))
    assert not touched.exists()


def test_a_name_in_torch_script_is_no_code(tmp_path: Path, touched: Path) -> None:
    torch.jit.script(Net().eval()).save(str(tmp_path / "a.pt"))
    quoted = json.dumps(HOSTILE).encode()

    def change(path: str, content: bytes) -> tuple[str, bytes]:
        if path.endswith(".py"):
            return path, content.replace(b'"77"', quoted).replace(
                b"getattr(self, ", b"getattr(self, "
            )
        if path.endswith("data.pkl"):
            length = struct.pack("<I", len(HOSTILE))
            return path, content.replace(b"X\2\0\0\x0077", b"X" + length + HOSTILE.encode())
        return path, content

    hostile = rewrite(tmp_path / "a.pt", change)
    with pytest.raises(RequestError, match=r"hostile.pt: holds code that looks up attributes"):
        read_torch_script(hostile)
    assert not touched.exists()


class Writing(nn.Module):
    """A layer that writes a file as it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.scale, self.path, self.training = torch.ones(1), path, False

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, str, bool]:
        return self.scale, self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, str, bool]) -> None:
        self.scale, self.path, self.training = state[0], state[1], state[2]
        torch.save(state[0], state[1])


@pytest.mark.parametrize("read", READERS)
def test_torch_script_that_runs_as_it_is_loaded_is_refused(
    tmp_path: Path, touched: Path, read: Callable[[Path], object]
) -> None:
    torch.jit.script(Net(Writing(str(touched))).eval()).save(str(tmp_path / "a.pt"))
    with pytest.raises(RequestError, match=r"a.pt: holds code that runs as it is loaded"):
        read(tmp_path / "a.pt")
    assert not touched.exists()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "code",
    [
        'torch.save(x, "{}")',
        'torch . \\\n  save(x, "{}")',
        'getattr(torch, "save")(x, "{}")',
        'getattr(torch, "sa\\x76e")(x, "{}")',
        'ops.aten.save(x, "{}")',
        'ops.image.write_file("{}", x)',
        'x = torch.from_file("{}", True, 4)',
        'y = __torch__.torch.classes.dist_c10d.FileStore("{}", 1)',
    ],
)
def test_torch_script_that_does_more_than_compute_is_refused(
    tmp_path: Path, touched: Path, code: str, read: Callable[[Path], object]
) -> None:
    torch.jit.script(Net().eval()).save(str(tmp_path / "a.pt"))

    def change(name: str, content: bytes) -> tuple[str, bytes]:
        if name.endswith(".py"):
            line = f"    {code.format(touched)}\n    return ".encode()
            content = content.replace(b"    return ", line)
        return name, content

    with pytest.raises(RequestError, match=r"hostile\.pt: holds code that"):
        read(rewrite(tmp_path / "a.pt", change))
    assert not touched.exists()


def test_a_converted_network_that_fails_is_refused() -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AttributeError("no shape")

    with pytest.raises(RequestError, match=r"cannot be converted: it fails .*\(no shape\)"):
        check_logits(Failing(), nn.Flatten(), IMAGES, "the file", "")


def test_a_graph_has_no_parts(tmp_path: Path) -> None:
    torch.jit.script(Net().eval()).save(str(tmp_path / "a.pt"))
    path = export(Net().eval(), tmp_path / "a.pt2")
    for file in (path, tmp_path / "a.pt"):
        with pytest.raises(RequestError, match="holds one network; give it without #ema"):
            open_model(ModelText("", file, "ema"), InputShape(3, (16, 16)))
    with pytest.raises(RequestError, match="holds one network"):
        read_network(tmp_path / "a.pt", "ema")
