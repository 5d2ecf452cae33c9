"""Random weights are seen in the weights, not in how a model is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from prunebench.model_files.model_text import parse_model
from prunebench.model_files.opened_model import InputShape, open_model

SHAPE = InputShape(3, (16, 16), classes=2)
SOURCE = """
import torch
from pathlib import Path
from torch import nn

def random(classes):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, classes),
    )

def loaded(classes):
    network = random(classes)
    network.load_state_dict(torch.load(Path(__file__).with_name("weights.pt")))
    return network

def new_head(classes):
    network = loaded(classes)
    network[5] = nn.Linear(4, classes)
    return network
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(SOURCE)
    space: dict[str, object] = {"__file__": str(path)}
    exec(SOURCE, space)
    network: nn.Module = space["random"](2)  # type: ignore[operator]
    network[1].running_mean.fill_(0.1)  # type: ignore[index]
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    return path


@pytest.mark.parametrize(
    ("function", "doubt"),
    [
        ("random", "has random weights: its factory loads none"),
        ("loaded", ""),
        ("new_head", "has random weights in '5'"),
    ],
)
def test_a_function_that_loads_its_weights_is_told_from_one_that_does_not(
    function: str, doubt: str, file: Path
) -> None:
    assert open_model(parse_model(f"{file}:{function}"), SHAPE).doubt == doubt


def test_a_plugin_without_weights_is_random() -> None:
    found = open_model(parse_model("resnet8"), SHAPE)
    assert found.doubt == "has random weights: no file of weights is given"


def test_statistics_that_were_never_trained_are_seen_in_a_file(file: Path) -> None:
    state = torch.load(file.with_name("weights.pt"))
    torch.save(state | {"1.running_mean": torch.zeros(4)}, file.with_name("fresh.pt"))
    found = open_model(parse_model(f"{file}:random@{file.with_name('fresh.pt')}"), SHAPE)
    assert found.doubt.startswith("was never trained, or lost its statistics")
