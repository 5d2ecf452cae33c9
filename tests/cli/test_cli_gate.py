"""``prunebench compare`` as a gate: conditions, exit statuses and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calling import Command, refused
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

FACTORY = """
from torch import nn

def small(classes=2):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )
"""
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Two models and images that the baseline knows; returns what compare is called with."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(FACTORY)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 60 + 8 * i, (16, 16, 3), np.uint8) for i in range(24)]
    inputs = torch.stack([(_to_tensor(each) - MEAN) / STD for each in pixels])
    with torch.no_grad():
        margins = network(inputs).diff(dim=1)[:, 0]
        network[4].bias[1] -= margins.median()
        right = network(inputs).argmax(1).tolist()
    for index, (each, label) in enumerate(zip(pixels, right, strict=True)):
        folder = Path("images", "ab"[label])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(each).save(folder / f"{index:02d}.png")
    save_file(network.state_dict(), "before.safetensors")
    with torch.no_grad():
        network[0].weight[:7] = 0
    save_file(network.state_dict(), "after.safetensors")
    return ["--data", "images", "--size", 16, "--cams", "grad-cam", "--no-cost"]


def _to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


BEFORE, AFTER = "nets.py:small@before.safetensors", "nets.py:small@after.safetensors"


@pytest.mark.slow
def test_a_network_that_is_kept_passes_and_one_that_is_not_ends_with_status_3(
    place: list[object], command: Command
) -> None:
    conditions = ["--fail-under", "sp2ps=0.9", "--fail-under", "agreement=0.9", "--max-drop", 2]
    done = command("compare", BEFORE, BEFORE, *place, *conditions, "--json", "new/kept.json")
    assert done.status == 0, done.err
    kept = json.loads(Path("new/kept.json").read_text())
    assert kept["passed"] is True
    assert [each["name"] for each in kept["conditions"]] == ["sp2ps", "agreement", "max_drop"]
    condition = ["--fail-under", "grad-cam:sp2ps=0.99"]
    done = command("compare", BEFORE, AFTER, *place, *condition, "--json", "lost.json")
    assert done.status == 3
    (line,) = done.err.strip().splitlines()
    assert line.startswith("failed: sp2ps by grad-cam: found 0.")
    assert line.endswith("wanted at least 0.99, 24 images")
    lost = json.loads(Path("lost.json").read_text())
    assert lost["passed"] is False
    assert lost["conditions"][0]["line"] in line
    assert Path("comparison", "comparison.html").is_file()


@pytest.mark.slow
def test_controls_stand_beside_the_pruned_network(place: list[object], command: Command) -> None:
    controls = ["--control", "random", "--control", f"twin={AFTER}"]
    done = command("compare", BEFORE, BEFORE, *place, *controls, "--json", "report.json")
    assert done.status == 0, done.err
    found = json.loads(Path("report.json").read_text())
    assert list(found["controls"]) == ["random", "twin"]
    floor = found["controls"]["random"]["scores"]["grad-cam"]["sp2ps"]["mean"]
    assert floor < found["scores"]["grad-cam"]["sp2ps"]["mean"] == 1
    assert "random weights" in done.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fail-under", "sp2ps"], ["expected NAME=VALUE"]),
        (["--fail-under", "sp2p=0.9"], ["did you mean 'sp2ps'?"]),
        (["--fail-under", "sp2ps=90"], ["from 0 to 1", "did you mean 0.9?"]),
        (["--fail-under", "sp2ps=nan"], ["from 0 to 1"]),
        (["--fail-under", "sp2ps=high"], ["is no number"]),
        (["--fail-under", "gradcam:sp2ps=0.9"], ["did you mean 'grad-cam'?"]),
        (["--fail-under", "grad-cam:agreement=0.9"], ["agreement=0.9"]),
        (["--max-drop", "-1"], ["points of accuracy"]),
        (["--control", "floor"], ["expected random, or LABEL=MODEL"]),
        (["--control", "random", "--control", "random"], ["two controls are called 'random'"]),
        (["--control", f"pruned={AFTER}"], ["cannot be called 'pruned'"]),
        (["--control", "twin=nets.py:large"], ["no function 'large'"]),
    ],
)
def test_a_wrong_condition_or_control_is_one_message(
    options: list[str], words: list[str], place: list[object], command: Command
) -> None:
    refused(command("compare", BEFORE, BEFORE, *place, *options), *words)
    assert not Path("comparison").exists()


def test_a_bound_on_the_drop_needs_labels(place: list[object], command: Command) -> None:
    for path in sorted(Path("images").glob("*/*.png")):
        path.rename(Path("images") / f"{path.parent.name}{path.name}")
    for folder in ("a", "b"):
        Path("images", folder).rmdir()
    done = command("compare", BEFORE, BEFORE, *place, "--max-drop", 2)
    refused(done, "needs labels", "one folder of images a class")
