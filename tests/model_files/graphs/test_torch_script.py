"""TorchScript archives, traced and scripted, become networks of layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from exported_networks import IMAGES, Small, Tokens, hold_maps_to, make, settle
from torch import Tensor, nn

from prunebench.comparison.compare import compare
from prunebench.errors import RequestError
from prunebench.model_files.graphs.torch_script import convert_script, read_torch_script

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
Write = Callable[[nn.Module, Path], Path]


def trace(network: nn.Module, path: Path, images: Tensor = IMAGES) -> Path:
    torch.jit.trace(network, images, check_trace=False).save(str(path))
    return path


def script(network: nn.Module, path: Path) -> Path:
    torch.jit.script(network).save(str(path))
    return path


@pytest.mark.parametrize("write", [trace, script])
def test_layers_names_weights_and_maps_are_the_originals(tmp_path: Path, write: Write) -> None:
    network = make(Small)
    found = read_torch_script(write(network, tmp_path / "a.pt"))
    assert found.module.state_dict().keys() == network.state_dict().keys()
    assert not {name for name, _ in network.named_modules()} - {
        *(name for name, _ in found.module.named_modules()),
        "head.0",  # dropout, which is not there in evaluation mode
    }
    assert "equal to the TorchScript module" in found.notes[0]
    assert (found.input_size, found.channels) == (None, 3)
    hold_maps_to(found.module, network)


@pytest.mark.parametrize("write", [trace, script])
def test_sizes_that_the_code_reads_follow_the_batch(tmp_path: Path, write: Write) -> None:
    network = make(Tokens)
    converted = read_torch_script(write(network, tmp_path / "a.pt"), size=(16, 16)).module
    with torch.no_grad():
        assert torch.allclose(converted(IMAGES[:1]), network(IMAGES[:1]), atol=1e-6)
    assert sum(p.numel() for p in converted.parameters()) == sum(
        p.numel() for p in network.parameters()
    )


def test_a_scripted_network_in_training_mode_is_evaluated(tmp_path: Path) -> None:
    network = make(Small)
    converted = read_torch_script(script(network.train(), tmp_path / "a.pt")).module
    with torch.no_grad():
        assert torch.allclose(converted(IMAGES), network.eval()(IMAGES), atol=1e-6)


def test_a_network_traced_in_training_mode_is_refused(tmp_path: Path) -> None:
    path = trace(make(Small).train(), tmp_path / "a.pt")
    with pytest.raises(RequestError, match=r"training mode; call model.eval\(\)"):
        read_torch_script(path)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:
            x = x * 2
        return self.conv(x).mean((2, 3))


class Looping(Branching):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(x.shape[0]):
            x = x * 2
        return self.conv(x).mean((2, 3))


class Checking(Branching):
    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        if x.dim() != 4:
            raise ValueError(f"got {x.dim()} dimensions")
        return self.conv(x).mean((2, 3)) * scale


@pytest.mark.parametrize("kind", [Branching, Looping])
def test_branches_and_loops_are_refused_with_what_to_give(
    tmp_path: Path, kind: type[nn.Module]
) -> None:
    with pytest.raises(RequestError, match=r"test_torch_script.py:\d+.*FACTORY@FILE"):
        read_torch_script(script(kind(), tmp_path / "a.pt"))


def test_a_branch_that_only_raises_is_passed() -> None:
    network = Checking().eval()
    converted = convert_script(torch.jit.script(network)).module
    with torch.no_grad():
        assert torch.allclose(converted(IMAGES), network(IMAGES), atol=1e-6)


def test_code_that_reads_files_is_refused(tmp_path: Path) -> None:
    class Reading(Branching):
        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean((2, 3)) + torch.from_file("/etc/hostname", size=1)

    with pytest.raises(RequestError, match=r"reads or writes files: .*from_file"):
        read_torch_script(script(Reading(), tmp_path / "a.pt"))


def test_lists_that_grow_are_followed() -> None:
    class Dense(Branching):
        def forward(self, x: Tensor) -> Tensor:
            found = [x]
            for _ in range(2):
                found.append(self.conv(nn.functional.pad(found[0], [1, 1, 1, 1])))
            return torch.cat(found, 1).mean((2, 3))

    network = Dense().eval()
    converted = convert_script(torch.jit.script(network)).module
    with torch.no_grad():
        assert torch.allclose(converted(IMAGES), network(IMAGES), atol=1e-6)


def test_sizes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(784, 5)), tmp_path / "a")
    assert read_torch_script(path).channels == 3
    with pytest.raises(RequestError, match="takes no two images of 3 channels and size 20×20"):
        read_torch_script(path, size=(20, 20))


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    whole = trace(make(Small), tmp_path / "whole.pt")
    cut, text = tmp_path / "cut.pt", tmp_path / "text.pt"
    cut.write_bytes(whole.read_bytes()[:3000])
    text.write_text("a network")
    saved = tmp_path / "saved.pt"
    torch.save(make(Small).state_dict(), saved)
    for path in (cut, text, saved, tmp_path / "none.pt", tmp_path):
        with pytest.raises(RequestError) as refused:
            read_torch_script(path)
        assert str(path) in str(refused.value)


def test_nothing_is_said_of_the_end_of_torch_script(tmp_path: Path) -> None:
    path = trace(make(Small), tmp_path / "a.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_torch_script(path)


@pytest.mark.slow
@pytest.mark.parametrize("write", [trace, script])
@pytest.mark.parametrize(
    ("name", "head"), [("mobilenet_v3_small", "classifier.3"), ("resnet18", "fc")]
)
def test_pruned_networks_are_explained_as_before(
    tmp_path: Path, name: str, head: str, write: Write
) -> None:
    from pruned_networks import prune

    network = settle(prune(name, head), 64)
    converted = read_torch_script(write(network, tmp_path / "a.pt")).module
    hold_maps_to(converted, network, torch.randn(2, 3, 64, 64))


def test_compare_takes_graphs_that_a_program_holds() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5)
    ).eval()
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (images,), dynamic_shapes=({0: batch},))
    for graph in (torch.jit.trace(module, images), program):
        found = compare(module, graph, images, cams=("grad-cam",), cost=True, quiet=True)
        assert found.scores.loc["grad-cam", "sp2ps"] == pytest.approx(1)
        assert found.agreement == 1
