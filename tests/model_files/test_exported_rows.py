"""Files that ``prunebench export`` wrote are models of ``compare``, with what they tell."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import prunebench as pb
from prunebench.data import Normalisation
from prunebench.errors import RequestError
from prunebench.model_files.model_text import parse_model
from prunebench.model_files.opened_model import InputShape, find_channels, open_model
from prunebench.model_files.told import read_told
from prunebench.networks import Architecture, Network

SEEN = Normalisation((0.1,), (0.3,))


def make_network(**more: object) -> Network:
    torch.manual_seed(0)
    architecture = Architecture(
        factory="digits-cnn",
        classes=10,
        channels=1,
        size=(16, 16),
        mean=SEEN.mean,
        std=SEEN.std,
    )
    module = architecture.build().eval()
    return Network(module, architecture.model_copy(update=more))


@pytest.mark.parametrize("form", ["safetensors", "pt", "pt2", "onnx"])
def test_an_exported_row_needs_no_factory(form: str, tmp_path: Path) -> None:
    network = make_network()
    model = parse_model(str(pb.export(network, tmp_path / f"row.{form}")))
    told = read_told(model)
    assert told.size == (16, 16)
    assert find_channels(model) == 1
    if form != "pt2":
        assert told.normalisation == SEEN
    opened = open_model(model, InputShape(1, (16, 16)))
    images = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(opened.module(images), network.module(images), atol=1e-5)


def test_code_in_a_file_runs_only_where_asked_for(tmp_path: Path) -> None:
    source = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    network = make_network(factory="mine.py:build", source=source)
    model = parse_model(str(pb.export(network, tmp_path / "row.safetensors")))
    with pytest.raises(RequestError, match=r"give mine.py:build@row.safetensors, or --unsafe-pick"):
        open_model(model, InputShape(1, (16, 16)))
    assert not (tmp_path / "ran").exists()
