"""``prunebench compare``: models in files and images in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from calling import Command, refused, write_images
from PIL import Image
from safetensors.torch import save_file
from torch import nn

FACTORY = """
from torch import nn

def small(classes=2, width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes),
    )

def grey(classes=2):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )

def word():
    return "no network"
"""


@pytest.fixture
def two_models(tmp_path: Path) -> tuple[str, str]:
    """A network with random weights and the same with half of its filters zero."""
    (tmp_path / "nets.py").write_text(FACTORY)
    namespace: dict[str, Callable[..., nn.Module]] = {}
    exec(FACTORY, namespace)
    torch.manual_seed(0)
    network = namespace["small"]()
    save_file(network.state_dict(), tmp_path / "before.safetensors")
    with torch.no_grad():
        network[0].weight[:4] = 0
    save_file(network.state_dict(), tmp_path / "after.safetensors")
    write_images(tmp_path / "images")
    factory = f"{tmp_path / 'nets.py'}:small"
    before, after = (f"{factory}@{tmp_path / name}" for name in ("before", "after"))
    return f"{before}.safetensors", f"{after}.safetensors"


@pytest.mark.slow
def test_compare_writes_a_page_and_a_picture(
    two_models: tuple[str, str], command: Command, tmp_path: Path
) -> None:
    place = ("--data", tmp_path / "images", "--size", 16, "--save", tmp_path / "report")
    done = command("compare", *two_models, *place)
    assert done.status == 0, done.err
    page = (tmp_path / "report" / "comparison.md").read_text()
    for cam in ("grad-cam", "grad-cam++", "ablation-cam"):
        assert cam in page
        assert cam in done.out
    assert "accuracy of the baseline" in page  # two folders, two classes: labels
    assert Image.open(tmp_path / "report" / "comparison.png").size[0] > 100
    assert f"report: {tmp_path / 'report' / 'comparison.md'}" in done.out
    assert "warning" not in done.err  # a slow machine shows progress


@pytest.mark.slow
def test_a_whole_pickle_is_read_only_when_asked_and_with_a_warning(
    two_models: tuple[str, str], command: Command, tmp_path: Path
) -> None:
    (tmp_path / "whole.pt").unlink(missing_ok=True)
    namespace: dict[str, Callable[..., nn.Module]] = {}
    exec(FACTORY, namespace)
    network = namespace["small"]()
    network.ratio = Fraction(1, 2)  # type: ignore[assignment]  # no layer of a library
    torch.save(network, tmp_path / "whole.pt")
    pickled = f"{tmp_path / 'nets.py'}:small@{tmp_path / 'whole.pt'}"
    place = ("--data", tmp_path / "images", "--size", 16, "--save", tmp_path / "report")
    place = (*place, "--cams", "grad-cam")
    refused(command("compare", two_models[0], pickled, *place), "whole.pt: cannot be read")
    done = command("compare", two_models[0], pickled, *place, "--unsafe-pickle")
    assert done.status == 0
    assert done.err.startswith("warning: a pickle can run any code")
    assert "No verdict: the baseline" in done.out  # its weights are random


@pytest.mark.parametrize(
    ("pruned", "options", "words"),
    [
        ("nets.py:smal", [], ["no function 'smal'", "did you mean 'small'?"]),
        ("gone.py:small", [], ["gone.py: no such file"]),
        ("nets.py:word", [], ["expected a torch.nn.Module"]),
        ("nets.py:small@gone.pt", [], ["gone.pt: no such file"]),
        ("digits-cnn@after.safetensors", [], ["the weights do not fit the model"]),
        ("after.safetensors", [], ["without the network they belong to", "give FACTORY@after.saf"]),
        ("resnet21", [], ["unknown model 'resnet21'"]),
        ("nets.py:grey", [], ["pruned network: cannot take images of 3×16×16"]),
        ("nets.py:small", ["--size", "big"], ["--size"]),
        ("nets.py:small", ["--mean", "a,b"], ["--mean"]),
        ("nets.py:small", ["--std", "0,0,0"], ["deviation"]),
        ("nets.py:small", ["--data", "gone"], ["gone: no such folder"]),
        ("nets.py:small", ["--cams", "gradcam"], ["did you mean 'grad-cam'?"]),
        ("nets.py:small", ["--class-policy", "mine"], ["mine"]),
        ("nets.py:small", ["--target-layer", "9"], ["no layer '9'"]),
        ("nets.py:small", ["--target-layer", "2"], ["1×1", "at least 4×4"]),
        ("nets.py:small", ["--limit", "0"], ["limit 0"]),
        ("nets.py:small", ["--classes", "3"], ["the weights do not fit the model"]),
        (
            "nets.py:small",
            ["--classes", "2", "--save", "nets.py/report"],
            ["nets.py/report: cannot be written"],
        ),
    ],
)
def test_a_wrong_comparison_is_one_message(
    pruned: str,
    options: list[str],
    words: list[str],
    two_models: tuple[str, str],
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    place = ["--data", "images", "--size", "16", "--cams", "grad-cam", *options]
    refused(command("compare", two_models[0], pruned, *place), *words)


def test_a_baseline_that_cannot_take_the_images_is_one_message(
    two_models: tuple[str, str], command: Command, tmp_path: Path
) -> None:
    grey = f"{tmp_path / 'nets.py'}:grey"
    done = command("compare", grey, two_models[1], "--data", tmp_path / "images", "--size", 16)
    refused(done, "baseline network: cannot take images of 3×16×16")


@pytest.mark.slow
def test_a_control_sees_images_as_its_own_file_tells(command: Command, tmp_path: Path) -> None:
    """The pruned network, given once more as a control, scores as the pruned network does."""
    write_images(tmp_path / "images")
    timm = pytest.importorskip("timm")
    for name, mean in (("before", 0.485), ("after", 0.2)):
        torch.manual_seed(len(name))
        network = timm.create_model("resnet10t", num_classes=2)
        (tmp_path / name).mkdir()
        config = {
            "architecture": "resnet10t",
            "num_classes": 2,
            "pretrained_cfg": {"mean": [mean] * 3, "std": [0.2] * 3, "input_size": [3, 32, 32]},
        }
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        network.bn1.running_mean.fill_(0.1)
        save_file(network.state_dict(), tmp_path / name / "model.safetensors")
    paths = [str(tmp_path / name) for name in ("before", "after")]
    options = ("--data", tmp_path / "images", "--cams", "grad-cam", "--save", tmp_path / "report")
    report = ("--control", f"same={paths[1]}", "--no-cost", "--json", tmp_path / "found.json")
    done = command("compare", *paths, *options, *report)
    assert done.status == 0, done.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert any("normalised as its own file tells" in line for line in found["about"])
    score = found["scores"]["grad-cam"]["sp2ps"]["mean"]
    control = found["controls"]["same"]["scores"]["grad-cam"]["sp2ps"]["mean"]
    assert control == pytest.approx(score)
