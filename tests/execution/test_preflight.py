"""Networks that a suite refuses before anything is computed, because of how they answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.models.model import Model
from prunebench.plugins import choose
from prunebench.pruners.output_check import check_network
from prunebench.store import Store

IMAGE = torch.zeros(1, 1, 16, 16)


class Answering(nn.Module):
    """Two layers of maps and a classifier that begins with zeros, with something done between."""

    def __init__(self, between: Callable[[Tensor], Tensor], classes: int = 2) -> None:
        super().__init__()
        self.features, self.between = nn.Conv2d(1, 4, 3, padding=1), between
        self.classifier = nn.Linear(4, classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.between(self.features(images)).mean((2, 3)))
        return logits


class Observing(nn.Module):
    """Scales by the largest value that it ever saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.largest = torch.maximum(self.largest, images.detach().abs().max())
        return images / self.largest


FAULTS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "batch": (
        lambda: Answering(nn.BatchNorm2d(4, track_running_stats=False)),
        r"other images of a batch \(layer 'between' keeps no running statistics\)",
    ),
    "chance": (lambda: Answering(lambda x: F.dropout(x, 0.5)), "depend on chance"),
    "past": (lambda: Answering(Observing()), r"images seen before.*'between.largest' changes"),
    "classes": (lambda: Answering(nn.ReLU(), classes=3), r"output of shape \(1, 3\)"),
    "images": (lambda: Answering(nn.Conv2d(3, 4, 1)), "cannot take images"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_suite_refuses_a_network_whose_answer_is_not_the_images(
    fault: str, toy_suite: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, message = FAULTS[fault]
    toy: type[Model] = choose("models", "toy-cnn").plugin.__class__
    monkeypatch.setattr(toy, "build", lambda *_: make())
    monkeypatch.setattr(toy, "target_layer", lambda *_: "features")
    options: dict[str, Any] = {"tracking_uri": "", "device": "cpu", "quiet": True}
    store = tmp_path / "store"
    for lines in ({}, {"cams": None, "metrics": "[accuracy]"}):
        with pytest.raises(RequestError, match=message) as refusal:
            pb.run(toy_suite(**lines), store, **options)
        assert refusal.value.where == "model 'toy-cnn'"
    assert Store(store).stored_keys() == set()


def test_a_network_that_begins_with_zeros_is_left_as_it_was() -> None:
    module = Answering(nn.BatchNorm2d(4)).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    check_network(module, IMAGE, 2, "the network")
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


class Sizing(nn.Module):
    """Keeps ones of the size of the last batch, and how many batches there were."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ones", torch.ones(1, 1, 1, 1))
        self.register_buffer("runs", torch.tensor(0))
        self.register_buffer("unknown", torch.tensor(torch.nan))

    def forward(self, maps: Tensor) -> Tensor:
        self.runs += 1
        if len(self.ones) != len(maps):
            self.ones = torch.ones(len(maps), 1, 1, 1)
        return maps * self.ones


@pytest.mark.parametrize("between", [Sizing(), nn.LayerNorm(16), nn.InstanceNorm2d(4)])
def test_what_answers_by_the_image_alone_is_accepted(between: nn.Module) -> None:
    check_network(Answering(between), IMAGE, 2, "the network")


def test_zeros_are_not_replaced_by_what_cancels() -> None:
    module = Answering(lambda maps: maps - maps.mean(1, keepdim=True))
    module.classifier.bias = None
    check_network(module, IMAGE, 2, "the network")


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    module = Answering(nn.ReLU())
    module.lock = threading.Lock()
    with pytest.raises(RequestError, match=r"cannot be copied.*keep what cannot be copied outside"):
        check_network(module, IMAGE, 2, "the network")


def test_a_suite_does_not_trust_the_layout_that_a_model_tells(
    toy_suite: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy: type[Model] = choose("models", "toy-cnn").plugin.__class__
    monkeypatch.setattr(toy, "target_layer", lambda *_: "1")  # six maps of 16×16
    monkeypatch.setattr(toy, "layout", lambda *_: "channels-last")
    with pytest.raises(RequestError, match=r"holds its channels first, but would be read as"):
        pb.run(toy_suite(), tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
