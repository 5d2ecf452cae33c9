"""The network in what training scripts save, whatever it is wrapped in."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from prunebench.errors import RequestError
from prunebench.model_files.loaded_weights import load_weights
from prunebench.model_files.weights import read_network

State = dict[str, Tensor]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


WRAPPERS: dict[str, Callable[[State], Any]] = {
    "plain": lambda state: state,
    "net": lambda state: {"epoch": 3, "net": state},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.1},
    "lightning": lambda state: {"state_dict": under("model.", state), "hyper_parameters": {"a": 1}},
    "criterion": lambda state: {
        "state_dict": under("model.", state) | {"criterion.weight": torch.ones(3)}
    },
    "compiled": lambda state: under("_orig_mod.", state),
    "compiled and parallel": lambda state: {"model": under("module._orig_mod.", state)},
    "compiled layer": lambda state: {k.replace("0.", "0._orig_mod."): v for k, v in state.items()},
    "nested": lambda state: {"checkpoint": {"model": {"state_dict": state}}},
    "timm": lambda state: {"arch": "a", "state_dict": state, "args": argparse.Namespace(lr=0.1)},
    "optimizer": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []},
        "optimizer_states": [{"exp_avg": torch.ones(2)}],
        "lr_scheduler": {"last": torch.ones(1)},
        "loss_weights": {"a": torch.ones(1)},
    },
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_network_is_found_in_every_wrapper(wrapper: str, tmp_path: Path) -> None:
    net = network()
    torch.save(WRAPPERS[wrapper](net.state_dict()), tmp_path / "a.pt")
    found = network()
    nn.init.zeros_(found[0].weight)
    load_weights(found, read_network(tmp_path / "a.pt").state, "a.pt")
    assert all(
        torch.equal(a, b)
        for a, b in zip(found.state_dict().values(), net.state_dict().values(), strict=True)
    )


def ema(state: State) -> Any:
    average = {k: v + 1 if v.is_floating_point() else v for k, v in state.items()}
    return {"model": state, "model_ema": average}


def test_of_two_networks_one_is_asked_for_and_taken(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save(ema(state), tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"2 networks: 'model', 'model_ema'; choose.*a.pt#model"):
        read_network(tmp_path / "a.pt")
    found = read_network(tmp_path / "a.pt", "model_ema").state
    assert torch.equal(found["0.weight"], state["0.weight"] + 1)
    with pytest.raises(RequestError, match="holds no 'model_em'; did you mean 'model_ema'"):
        read_network(tmp_path / "a.pt", "model_em")


def test_two_networks_in_one_dictionary_are_told_apart_by_their_beginnings(tmp_path: Path) -> None:
    state = network().state_dict()
    both = under("student.", state) | under("teacher.", {k: v * 2 for k, v in state.items()})
    torch.save({"state_dict": both}, tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"'student', 'teacher'; choose one, such as a.pt#stud"):
        load_weights(network(), read_network(tmp_path / "a.pt").state, "a.pt")
    torch.save(both, tmp_path / "a.pt")
    found = read_network(tmp_path / "a.pt", "teacher").state
    assert torch.equal(found["0.weight"], 2 * state["0.weight"])
    with pytest.raises(RequestError, match="holds no 'head'; there is: student, teacher"):
        read_network(tmp_path / "a.pt", "head")


def test_entries_of_something_else_are_never_taken_for_the_network(tmp_path: Path) -> None:
    state = under("model.", network().state_dict())
    state.pop("model.0.weight")
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(RequestError, match=r"the file lacks '0.bias'"):
        load_weights(network(), read_network(tmp_path / "a.safetensors").state, "a.safetensors")


def test_weights_whose_mask_is_not_in_the_file_are_refused_with_the_remedy(tmp_path: Path) -> None:
    from torch.ao.pruning import WeightNormSparsifier

    net = network()
    sparsifier = WeightNormSparsifier(sparsity_level=0.5, sparse_block_shape=(1, 1))
    sparsifier.prepare(net, [{"tensor_fqn": "3.weight"}])  # type: ignore[no-untyped-call]
    sparsifier.step()  # type: ignore[no-untyped-call]
    torch.save(net.state_dict(), tmp_path / "a.pt")
    found = network()
    with pytest.raises(RequestError, match=r"behind a parametrization.*squash_mask"):
        load_weights(found, read_network(tmp_path / "a.pt").state, "a.pt")
    sparsifier.squash_mask()  # type: ignore[no-untyped-call]
    torch.save(net.state_dict(), tmp_path / "a.pt")
    load_weights(found, read_network(tmp_path / "a.pt").state, "a.pt")
    assert 0 < int((found[3].weight == 0).sum()) < found[3].weight.numel()


def test_whole_networks_are_read_where_pickles_are_asked_for(tmp_path: Path) -> None:
    net = network()
    torch.save({"model": nn.DataParallel(net), "epoch": 1}, tmp_path / "a.pt")
    with pytest.raises(RequestError, match="--unsafe-pickle if you made the file"):
        read_network(tmp_path / "a.pt")
    found = read_network(tmp_path / "a.pt", unsafe_pickle=True)
    assert isinstance(found.module, nn.Sequential)
    assert torch.equal(found.module[0].weight, net[0].weight)  # type: ignore[arg-type]


class Own(nn.Module):
    """A class that no library knows, with an attribute that runs something when it is read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_layer_of_one_s_own_is_refused_by_name_and_does_not_run(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 2), Own(tmp_path / "ran")), tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"pathlib.*--unsafe-pickle if you made the file"):
        read_network(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()


def test_a_library_s_layer_is_not_called(tmp_path: Path) -> None:
    from torchvision.models import ResNet, get_model

    for called, arguments in ((get_model, ("resnet18",)), (ResNet, (1, 2))):

        class Sly:
            def __reduce__(self) -> tuple[Any, ...]:
                return called, arguments  # noqa: B023

        torch.save({"model": Sly()}, tmp_path / "a.pt")
        with pytest.raises(RequestError, match="may run code"):
            read_network(tmp_path / "a.pt")


def test_a_module_s_own_classes_are_found_beside_its_file_where_pickles_are_asked_for(
    tmp_path: Path,
) -> None:
    source = "from torch import nn\n\nclass Beside(nn.Linear):\n    pass\n"
    (tmp_path / "beside_the_file.py").write_text(source)
    save = (
        "import sys, torch; sys.path.insert(0, '.'); from beside_the_file import Beside; "
        "torch.save(Beside(2, 3), 'a.pt')"
    )
    subprocess.run([sys.executable, "-c", save], cwd=tmp_path, check=True)
    before = list(sys.path)
    found = read_network(tmp_path / "a.pt", unsafe_pickle=True)
    assert type(found.module).__name__ == "Beside"
    assert sys.path == before
    (tmp_path / "beside_the_file.py").write_text("")
    sys.modules.pop("beside_the_file")
    with pytest.raises(RequestError, match=r"must be installed, in this folder or in the file's"):
        read_network(tmp_path / "a.pt", unsafe_pickle=True)


@pytest.mark.parametrize(
    "average",
    [
        lambda state: {"ema": {"decay": 0.9, "shadow_params": list(state.values())}},
        lambda state: {"callbacks": {"EMA": {"ema_state": state}}},
    ],
)
def test_an_average_that_has_no_names_is_never_passed_over_silently(
    average: Callable[[State], Any], tmp_path: Path
) -> None:
    state = network().state_dict()
    torch.save({"model": state, **average(state)}, tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"may be an average.*#model"):
        read_network(tmp_path / "a.pt")
    assert read_network(tmp_path / "a.pt", "model").state.keys() == state.keys()


def test_masks_beside_the_network_are_applied_or_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    mask = {"3.weight": (torch.rand(3, 16) < 0.5).float()}
    torch.save({"model": state, "masks": mask}, tmp_path / "a.pt")
    for part in ("", "model"):
        found = read_network(tmp_path / "a.pt", part).state
        assert torch.equal(found["3.weight"], state["3.weight"] * mask["3.weight"])
    torch.save({"model": state, "masks": {"other.weight": mask["3.weight"]}}, tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"not clear what they mask"):
        read_network(tmp_path / "a.pt", "model")
