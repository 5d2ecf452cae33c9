"""What pruners tell of themselves: work not done, what they rank by, what they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from prunebench.networks import Architecture, Network
from prunebench.plugins import choose, entries
from prunebench.pruners import Pruner
from prunebench.pruners.disclosure import expected_axis, list_notes, reads_explanations

UNTRAINED = "made to prune a network before its training, used on trained weights"
ARCHITECTURE = Architecture(factory="x", classes=5, channels=3, size=(8, 8), mean=(), std=())


def pruner(name: str, **parameters: Any) -> Pruner:
    found: Pruner = choose("pruners", name, parameters).plugin
    return found


def notes(method: Pruner, network: nn.Module, context: Any) -> list[str]:
    return list_notes(method, Network(network, ARCHITECTURE), context)


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_methods_for_initialisation_say_so_on_trained_weights(
    name: str, tiny: Any, make_context: Any
) -> None:
    context = make_context(tiny())
    assert notes(pruner(name), tiny(), context) == [UNTRAINED]
    assert notes(pruner(name, at="initial"), tiny(), context) == []
    assert notes(pruner("iterative", pruner=name), tiny(), context) == [UNTRAINED]


@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (1.003, "no BatchNorm scale moved by more than 0.3% of its layer's mean: plain"),
        (1.00005, "no BatchNorm scale moved by more than 0.005% of its layer's mean: plain"),
        (0.4, "its training moved BatchNorm scales by up to 60% of their layer's mean"),
    ],
)
def test_slimming_tells_how_far_its_training_moved_scales(
    factor: float, told: str, tiny: Any, make_context: Any
) -> None:
    network = tiny()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["1.weight"][3] *= factor
    context = replace(make_context(network), prepared={"sparse-weights": state})
    (note,) = notes(pruner("network-slimming"), network, context)
    assert note.startswith(told)
    assert notes(pruner("int8-after", pruner="network-slimming"), network, context) == [note]


def test_a_scale_near_zero_is_no_great_change(tiny: Any, make_context: Any) -> None:
    network = tiny()
    with torch.no_grad():
        network[1].weight[0] = 1e-9
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["1.weight"][0] = 1e-6
    context = replace(make_context(network), prepared={"sparse-weights": state})
    (note,) = notes(pruner("network-slimming"), network, context)
    assert note.startswith("no BatchNorm scale moved")


class Talkative(Pruner):
    """Says the same thing twice, and more than a row holds."""

    def notes(self, network: Network, context: Any) -> Iterable[str]:
        return ("one\nline", "one line", "x" * 1_000)


def test_a_note_is_one_short_line_and_told_once(tiny: Any, make_context: Any) -> None:
    assert notes(Talkative(), tiny(), make_context(tiny())) == ["one line", "x" * 300]


def test_pruners_that_read_explanations_declare_it() -> None:
    own = [name for name, claims in entries("pruners").items() if claims[0].package == "prunebench"]
    needed = {"distillation": {"student": "resnet20"}, "checkpoint": {"model": "resnet20@x"}}
    found = {name for name in own if reads_explanations(pruner(name, **needed.get(name, {})))}
    assert found == {"isp", "cam-guided", "lrp", "interpretable"}
    assert reads_explanations(pruner("iterative", pruner="lrp", rewind="none"))


@pytest.mark.parametrize(
    ("name", "parameters", "axis"),
    [
        ("l1-filter", {}, "dense"),
        ("isp", {}, "dense"),
        ("soft-filter", {}, "dense"),
        ("l1-unstructured", {}, "masked"),
        ("iterative", {}, "masked"),
        ("iterative", {"pruner": "l1-filter"}, "dense"),
        ("gradual", {}, "masked"),
        ("small", {}, "dense"),
        ("int8", {}, "quantised"),
        ("int8-after", {}, "quantised"),
        ("distillation", {"student": "resnet20"}, "dense"),
    ],
)
def test_the_axis_is_known_without_a_network(
    name: str, parameters: dict[str, Any], axis: str
) -> None:
    assert expected_axis(pruner(name, **parameters)) == axis
