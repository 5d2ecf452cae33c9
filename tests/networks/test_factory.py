"""Building modules from names and files, and reading weights without running their code."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from prunebench.errors import RequestError
from prunebench.model_files.loaded_weights import load_weights
from prunebench.model_files.weights import read_weights
from prunebench.networks.factory import build_module

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn

@dataclass
class Options:
    width: int = 4

class Tiny(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        return self.fc(x)

def tiny_network(classes, width=Options().width):
    return Tiny(classes, width)

def with_everything(classes, channels, size):
    return nn.Conv2d(channels, classes, size)

def no_module():
    return 3
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my network.py"
    path.write_text(SOURCE)
    return path


def build(factory: str, **parameters: Any) -> nn.Module:
    return build_module(factory, parameters, classes=3, channels=2, size=(5, 6))


def test_a_function_of_a_file_is_given_what_it_accepts(source: Path) -> None:
    assert build(f"{source}:tiny_network").fc.weight.shape == (3, 4)
    assert build(f"{source}:tiny_network", width=7).fc.weight.shape == (3, 7)
    assert build(f"{source}:with_everything").weight.shape == (3, 2, 5, 6)


def test_a_file_that_did_not_change_gives_the_same_types(source: Path) -> None:
    factory = f"{source}:tiny_network"
    assert type(build(factory)) is type(build(factory))
    source.write_text(SOURCE.replace("width: int = 4", "width: int = 9"))
    assert build(factory).fc.weight.shape == (3, 9)


def test_two_files_of_one_name_are_two_modules(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / source.name
    other.parent.mkdir()
    other.write_text(SOURCE.replace("width: int = 4", "width: int = 9"))
    assert build(f"{source}:tiny_network").fc.in_features == 4
    assert build(f"{other}:tiny_network").fc.in_features == 9


@pytest.mark.parametrize(
    ("function", "parameters", "message"),
    [
        ("tiny_netwrok", {}, "no function 'tiny_netwrok'; did you mean 'tiny_network'"),
        ("Linear", {}, "no function 'Linear'"),
        ("tiny_network", {"depth": 2}, "unexpected keyword argument 'depth'"),
        ("no_module", {}, "returned a int, expected a torch.nn.Module"),
    ],
)
def test_wrong_functions_are_refused(
    source: Path, function: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        build(f"{source}:{function}", **parameters)
    assert str(source) in str(caught.value)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        build(f"{tmp_path}/nowhere.py:net")
    (tmp_path / "broken.py").write_text("import no_such_package")
    for _ in range(2):
        with pytest.raises(RequestError, match=r"broken.py: ModuleNotFoundError.*no_such_package"):
            build(f"{tmp_path}/broken.py:net")
    (tmp_path / "script.py").write_text("raise SystemExit(0)")
    with pytest.raises(RequestError, match=r"script.py: SystemExit: 0"):
        build(f"{tmp_path}/script.py:net")
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9")
    with pytest.raises(RequestError, match=r"latin.py: cannot be read as Python"):
        build(f"{tmp_path}/latin.py:net")


@pytest.mark.parametrize("name", ["gone", "x" * 300, "a\0b", "/dev/zero", "."])
def test_what_is_no_file_holds_neither_code_nor_weights(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no such file|cannot be read"):
        read_weights(tmp_path / name)
    with pytest.raises(RequestError, match=r"no such file|cannot be read"):
        build(f"{tmp_path}/{name}.py:net")


def test_plugins_and_families_are_built_by_name() -> None:
    assert build_module("resnet20", {}, 10, 3, (32, 32)).linear.out_features == 10
    assert build_module("torchvision/resnet18", {}, 4, 3, (32, 32)).fc.out_features == 4
    with pytest.raises(RequestError, match="did you mean 'resnet56'"):
        build_module("resnt56", {}, 10, 3, (32, 32))


def network(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, classes))


def test_weights_come_from_safetensors_and_from_torch_wrapped_or_not(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "c.th")
    torch.save({"model": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "d.pth")
    for path in sorted(tmp_path.iterdir()):
        found = read_weights(path)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_layer_called_module_keeps_its_name(tmp_path: Path) -> None:
    state = {"module.weight": torch.ones(1), "head.weight": torch.ones(1)}
    torch.save(state, tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").keys() == state.keys()


class OwnNetwork(nn.Linear):
    """A class that is no library's."""

    def __init__(self) -> None:
        super().__init__(2, 2)


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_do_not_run(tmp_path: Path) -> None:
    torch.save(Payload(tmp_path / "ran"), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Payload(tmp_path / "ran"), protocol=2))
    torch.save(OwnNetwork(), tmp_path / "c.pt")
    for name in ("a.pt", "b.pt", "c.pt"):
        with pytest.raises(RequestError, match=f"{name}: cannot be read as weights"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: {"model": net}, nn.DataParallel])
def test_whole_pickles_are_read_only_where_asked_for(tmp_path: Path, wrap: Any) -> None:
    net = network()
    torch.save(wrap(net), tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt", unsafe_pickle=True)
    assert found.keys() == net.state_dict().keys()


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(1)], {"state_dict": {}}])
def test_files_without_a_state_dict_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"a.pt: holds no state dict"):
        read_weights(tmp_path / "a.pt")


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        read_weights(tmp_path / "nowhere.pt")
    for name in ("a.pt", "b.safetensors"):
        (tmp_path / name).write_bytes(b"what is this")
        with pytest.raises(RequestError, match=f"{name}: cannot be read as weights"):
            read_weights(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.weight"), "the file lacks '0.weight'"),
        (
            lambda state: state.update({"9.weight": torch.ones(1)}),
            "the file has '9.weight', which the model lacks",
        ),
        (
            lambda state: state.update({"0.weight": torch.ones(4, 3, 3, 3)}),
            r"'0.weight' is \(4, 3, 3, 3\) in the file and \(4, 1, 3, 3\) in the model$",
        ),
        (
            lambda state: state.update({"0.weight": torch.ones(4, 1, 3, 3, device="meta")}),
            r"'0.weight' holds no numbers \(device 'meta'\); expected a dense one",
        ),
        (
            lambda state: state.update({"0.bias": torch.ones(4).to_sparse()}),
            "'0.bias' holds a sparse tensor; expected a dense one",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    state = network().state_dict()
    change(state)
    with pytest.raises(RequestError, match=message):
        load_weights(network(), state, "somewhere")


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.bfloat16, torch.float64])
def test_weights_in_another_precision_are_loaded(kind: torch.dtype) -> None:
    state = {
        name: tensor.to(kind) if tensor.is_floating_point() else tensor
        for name, tensor in network().state_dict().items()
    }
    module = network()
    load_weights(module, state, "somewhere")
    assert torch.equal(module[3].weight, state["3.weight"].float())


def test_masks_may_be_truth_values() -> None:
    module = network()
    module.register_buffer("mask", torch.ones(2))
    load_weights(module, network().state_dict() | {"mask": torch.tensor([True, False])}, "a.pt")
    assert module.mask.tolist() == [1, 0]


def test_another_number_of_classes_is_recognised() -> None:
    with pytest.raises(RequestError, match="is the number of classes the data set's") as caught:
        load_weights(network(10), network(3).state_dict(), "weights.pt")
    assert caught.value.where == "weights.pt"
    assert "'3.weight' is (3, 4) in the file and (10, 4) in the model" in caught.value.message


def test_files_from_before_batchnorm_counted_are_loaded() -> None:
    state = {k: v for k, v in network().state_dict().items() if "num_batches" not in k}
    net = network()
    load_weights(net, state, "old.pt")
    assert torch.equal(net[0].weight, state["0.weight"])
