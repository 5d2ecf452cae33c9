"""Networks as files for other programs compute what they computed, whatever was done to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prunebench.data import Data, Normalisation, Split
from prunebench.errors import RequestError
from prunebench.execution.stages.compress import _as_network
from prunebench.execution.stages.context import make_context
from prunebench.networks import Architecture, Network
from prunebench.networks.portable import ARCHITECTURE, export, read_exported
from prunebench.plugins import choose

LOOK = {"mean": (0.5,), "std": (0.25,)}
INPUTS = torch.linspace(-1, 1, 3 * 256).view(3, 1, 16, 16)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    shapes: dict[str, Any] = {"classes": 10, "channels": 1, "size": (16, 16)}
    architecture = Architecture(factory="digits-cnn", **shapes, **LOOK)
    return Network(architecture.build().eval(), architecture)


def compressed(network: Network, pruner: str) -> Network:
    pixels = torch.randint(256, (24, 1, 16, 16), generator=torch.Generator().manual_seed(3)).byte()
    split = Split(pixels, torch.arange(24) % 10)
    data = Data(split, split, split, tuple("abcdefghij"), Normalisation((0.5,), (0.25,)))
    plugin = choose("pruners", pruner).plugin
    context = make_context(network, network, data, 5)
    return _as_network(plugin.compress(network.copy().module, 0.5, context), network)


def run_file(path: Path) -> Tensor:
    """Run a file as a stranger would."""
    if path.suffix == ".pt2":
        found: Tensor = torch.export.load(path).module()(INPUTS)
        return found
    return read_exported(path).module(INPUTS)  # type: ignore[no-any-return]


@pytest.mark.parametrize("form", ["pt", "safetensors", "pt2"])
@pytest.mark.parametrize("pruner", ["l1-filter", "l1-unstructured", "int8"])
def test_a_file_computes_what_the_network_computes(
    network: Network, pruner: str, form: str, tmp_path: Path
) -> None:
    if pruner == "int8":
        pytest.importorskip("torchao")
    pruned = compressed(network, pruner)
    path = export(pruned, tmp_path / f"network.{form}")
    with torch.no_grad():
        assert torch.allclose(run_file(path), pruned.module(INPUTS), atol=1e-6)


def test_a_state_dict_needs_neither_pickle_nor_prunebench(network: Network, tmp_path: Path) -> None:
    path = export(network, tmp_path / "network.pt")
    content = torch.load(path, weights_only=True)
    assert content["state_dict"].keys() == network.module.state_dict().keys()
    assert Architecture.model_validate_json(content[ARCHITECTURE]) == network.architecture


def test_what_cannot_be_written_or_read_is_refused(network: Network, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="unknown format 'onn'; did you mean 'onnx'"):
        export(network, tmp_path / "network.onn")
    with pytest.raises(RequestError, match="no such folder"):
        export(network, tmp_path / "nowhere" / "network.pt")
    torch.save({"state_dict": network.module.state_dict()}, tmp_path / "plain.pt")
    with pytest.raises(RequestError, match="does not tell how the network is built"):
        read_exported(tmp_path / "plain.pt")
    torch.save(network.module, tmp_path / "whole.pt")
    with pytest.raises(RequestError, match="cannot be read as weights"):
        read_exported(tmp_path / "whole.pt")
    described = network.architecture.model_copy(update={"factory": "mine.py:build", "source": "1"})
    path = export(Network(network.module, described), tmp_path / "code.safetensors")
    with pytest.raises(RequestError, match="built by Python code"):
        read_exported(path)
