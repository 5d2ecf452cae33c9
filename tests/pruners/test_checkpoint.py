from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from prunebench.errors import RequestError
from prunebench.model_files.model_text import parse_model
from prunebench.networks import network as networks
from prunebench.plugins import choose
from prunebench.pruners.checkpoint import CheckpointPruner
from prunebench.pruners.weights.magnitude import L1Unstructured

SOURCE = """
from torch import nn

def build(classes, width=6):
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, classes),
    )
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(0)
    space: dict[str, Any] = {}
    exec(SOURCE, space)
    network: nn.Module = space["build"](5).eval()
    return network


def refused(method: CheckpointPruner, context: Any, match: str) -> None:
    with pytest.raises(RequestError, match=match):
        method.compress(nn.Identity(), 0.0, context)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet20", ("resnet20", None, "")),
        ("resnet20@w.pt", ("resnet20", Path("w.pt"), "")),
        ("resnet20@w.pt#model_ema", ("resnet20", Path("w.pt"), "model_ema")),
        ("torchvision/resnet18@a/b@2.pt", ("torchvision/resnet18", Path("a/b@2.pt"), "")),
        ("me@home/net.py:build", ("me@home/net.py:build", None, "")),
        ("me@home/net.py:build@x.safetensors", ("me@home/net.py:build", Path("x.safetensors"), "")),
        ("nets/pruned.ONNX", ("", Path("nets/pruned.ONNX"), "")),
        ("pruned.pt#ema", ("", Path("pruned.pt"), "ema")),
    ],
)
def test_factory_and_weights_are_told_apart(text: str, expected: Any) -> None:
    assert parse_model(text) == expected


@pytest.mark.parametrize("text", ["", "@w.pt", "resnet20@"])
def test_half_a_model_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"expected FACTORY\[@WEIGHTS\]"):
        parse_model(text)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_network_and_outputs_are_those_of_the_file(
    suffix: str, source: Path, trained: nn.Module, tmp_path: Path, make_context: Any
) -> None:
    weights = tmp_path / f"weights{suffix}"
    state = trained.state_dict()
    save_file(state, weights) if suffix == ".safetensors" else torch.save(state, weights)
    context = make_context(trained)
    method = CheckpointPruner(model=f"{source}:build@{weights}")
    found = method.compress(nn.Identity(), 0.0, context)
    assert torch.equal(found.module(context.example), trained(context.example))
    assert found.masks == {}
    architecture = found.architecture
    assert (architecture.classes, architecture.channels, architecture.size) == (5, 3, (8, 8))
    assert (architecture.mean, architecture.std) == ((), ())
    again = networks.from_tensors(architecture, networks.to_tensors(found))
    assert torch.equal(again.module(context.example), trained(context.example))
    assert set(method.files()) == {source, weights}


def test_parameters_of_the_function_and_normalisation_are_kept(
    source: Path, make_context: Any
) -> None:
    method = CheckpointPruner(
        model=f"{source}:build", parameters={"width": 4}, mean=(0.1, 0.2, 0.3), std=(1, 1, 1)
    )
    found = method.compress(nn.Identity(), 0.0, make_context(nn.Identity()))
    assert found.module.get_submodule("0").out_channels == 4
    assert found.architecture.normalisation.mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("permanent", [True, False])
def test_masked_weights_come_with_their_masks(
    permanent: bool, source: Path, trained: nn.Module, tmp_path: Path, make_context: Any
) -> None:
    context = make_context(trained)
    L1Unstructured().compress(trained, 0.5, context)
    expected = trained(context.example)
    if permanent:
        networks.make_masks_permanent(trained)
    torch.save(trained.state_dict(), tmp_path / "masked.pt")
    method = CheckpointPruner(model=f"{source}:build@{tmp_path / 'masked.pt'}")
    found = method.compress(nn.Identity(), 0.0, context)
    assert torch.equal(found.module(context.example), expected)
    removed = sum(int((mask == 0).sum()) for mask in found.masks.values())
    assert removed == round(0.5 * sum(mask.numel() for mask in found.masks.values()))


def test_moved_files_leave_the_parameters_as_they_were(source: Path, tmp_path: Path) -> None:
    here = CheckpointPruner(model=f"{source}:build@{tmp_path}/w.pt", name="mine")
    there = CheckpointPruner(model="elsewhere/mine.py:build@other/w.pt")
    assert here.changed_parameters() == there.changed_parameters()
    assert here.changed_parameters() == {"model": "mine.py:build@w.pt"}


def test_label_is_given_after_a_slash(source: Path) -> None:
    chosen = choose("pruners", "checkpoint/my-net", {"model": f"{source}:build"})
    assert chosen.label.startswith("checkpoint/my-net")


def test_unknown_factory_suggests_the_nearest(tmp_path: Path, make_context: Any) -> None:
    torch.save({}, tmp_path / "w.pt")
    method = CheckpointPruner(model=f"resnet-20@{tmp_path / 'w.pt'}")
    refused(
        method, make_context(nn.Identity()), "unknown model 'resnet-20'; did you mean 'resnet20'"
    )


def test_unknown_function_suggests_the_nearest(source: Path, make_context: Any) -> None:
    method = CheckpointPruner(model=f"{source}:buld")
    refused(method, make_context(nn.Identity()), "no function 'buld'; did you mean 'build'")


def test_missing_files_are_named(source: Path, tmp_path: Path, make_context: Any) -> None:
    missing = tmp_path / "missing.pt"
    method = CheckpointPruner(model=f"{source}:build@{missing}")
    refused(method, make_context(nn.Identity()), "missing.pt: no such file")
    with pytest.raises(RequestError, match=r"missing.pt: no such file"):
        method.files()
    with pytest.raises(RequestError, match=r"gone.py: no such file"):
        CheckpointPruner(model=f"{tmp_path / 'gone.py'}:build").files()


def test_misfit_weights_are_refused_with_a_way_out(
    source: Path, trained: nn.Module, tmp_path: Path, make_context: Any
) -> None:
    weights = tmp_path / "w.pt"
    torch.save(trained.state_dict(), weights)
    method = CheckpointPruner(model=f"{source}:build@{weights}", parameters={"width": 5})
    refused(
        method, make_context(trained), r"'0.weight' is \(6, 3, 3, 3\) in the file.*never larger"
    )
    torch.save({"other": torch.zeros(1)}, weights)
    refused(method, make_context(trained), "the file lacks '0.bias'")


def test_layers_may_be_smaller_than_the_factory_s(
    source: Path, trained: nn.Module, tmp_path: Path, make_context: Any
) -> None:
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    context = make_context(trained)
    model = f"{source}:build@{tmp_path / 'w.pt'}"
    found = CheckpointPruner(model=model, parameters={"width": 7}).compress(trained, 0.0, context)
    assert torch.equal(found.module(context.example), trained(context.example))
    assert found.architecture.resized["0"] == {"out_channels": 6}
    again = networks.from_tensors(found.architecture, networks.to_tensors(found))
    assert torch.equal(again.module(context.example), trained(context.example))


def test_a_file_without_a_factory_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"write FACTORY@.*must be able to build them again"):
        CheckpointPruner(model=str(tmp_path / "whole.pt"))


def test_wrong_number_of_classes_is_refused(tmp_path: Path, make_context: Any) -> None:
    path = tmp_path / "ten.py"
    path.write_text(SOURCE.replace("classes, width=6", "width=6, classes=10"))
    path.write_text(path.read_text().replace("(width, classes)", "(width, 10)"))
    method = CheckpointPruner(model=f"{path}:build")
    refused(method, make_context(nn.Identity()), r"output of shape \(1, 10\).*expected \(1, 5\)")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"mean": (0.5,), "std": (0.5,)}, "'mean' has 1 values, expected 3"),
        ({"mean": (0.5, 0.5, 0.5)}, "both 'mean' and 'std'"),
    ],
)
def test_wrong_normalisation_is_refused(
    values: Any, match: str, source: Path, make_context: Any
) -> None:
    method = CheckpointPruner(model=f"{source}:build", **values)
    refused(method, make_context(nn.Identity()), match)


def test_untrained_plugin_is_refused(make_context: Any) -> None:
    context = make_context(nn.Identity(), size=32, classes=10)
    refused(CheckpointPruner(model="resnet20"), context, "untrained; write resnet20@WEIGHTS")


def test_published_weights_of_a_plugin(shared_weights: Any, make_context: Any) -> None:
    weights = shared_weights("resnet20-12fca82f.th")
    context = make_context(nn.Identity(), size=32, classes=10)
    found = CheckpointPruner(model=f"resnet20@{weights}").compress(nn.Identity(), 0.0, context)
    assert found.architecture.factory == "resnet20"
    state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    for name, value in found.module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, state[f"module.{name}"])
