"""Python code that only a store names is not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from torch import nn

import prunebench as pb
from prunebench.networks.factory import build_module
from prunebench.store import Store, StoreError

Write = Callable[..., Path]
MINE = """
from pathlib import Path
from torch import nn

def small(classes, channels, width=3):
    first = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU())
    return nn.Sequential(first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

def clean(classes, channels, folder="{folder}"):
    Path(folder, "cleaned").touch()
    return small(classes, channels)
"""
PRUNERS = {
    "checkpoint": '[{checkpoint/mine: {model: "mine.py:small@mine.safetensors"}}]',
    "a plugin": "[l1-unstructured]",
}


@pytest.fixture
def suite(toy_suite: Write, tmp_path: Path) -> Write:
    """Writes a suite of one compressed network; ``suite("checkpoint")`` is built by ``mine.py``."""
    (tmp_path / "mine.py").write_text(MINE.replace("{folder}", str(tmp_path)))
    module: nn.Module = build_module(f"{tmp_path}/mine.py:small", {}, 2, 1, (16, 16))
    save_file(module.state_dict(), tmp_path / "mine.safetensors")

    def write(pruner: str, **lines: str | None) -> Path:
        levels = "[0.3]" if pruner == "a plugin" else None
        little = {"recovery": None, "cams": None, "metrics": "[accuracy]", "levels": levels}
        model = "{toy-cnn: {training: {epochs: 1}}}"
        return toy_suite(pruners=PRUNERS[pruner], model=model, **{**little, **lines})

    return write


def _run(path: Path, store: Path, **options: Any) -> pb.Results:
    return pb.run(path, store, "", device="cpu", quiet=True, **options)


def _tamper(store: Path, **architecture: Any) -> str:
    """Changes how the compressed network is built, under the same key and with right digests."""
    opened = Store(store)
    artefacts = [opened.read(key) for key in opened.stored_keys()]
    found = next(each for each in artefacts if each.kind == "compressed" and _is_built(each.data))
    tensors = found.tensors
    for each in artefacts:
        if each.kind in ("predicted", "scored") or each.key == found.key:
            opened.remove(each.key)
    changed = {**found.data, "architecture": {**found.data["architecture"], **architecture}}
    opened.commit(found.key, found.kind, changed, tensors, found.measured)
    return found.key


def _is_built(data: dict[str, Any]) -> bool:
    return data["reached"]["params"] != 0 or data["axis"] != "none"


def test_code_that_the_suite_names_is_run(suite: Write, tmp_path: Path) -> None:
    assert _run(suite("checkpoint"), tmp_path / "store").exit_status == 0
    (tmp_path / "store").rename(tmp_path / "moved")  # and nothing of it is in memory
    again = _run(suite("checkpoint", metrics="[accuracy, params, macs]"), tmp_path / "moved")
    assert again.exit_status == 0, again.failed


@pytest.mark.parametrize(
    ("pruner", "changed"),
    [
        ("checkpoint", {"source": "from pathlib import Path\nPath('{folder}/cleaned').touch()\n"}),
        ("checkpoint", {"factory": "mine.py:clean"}),
        ("checkpoint", {"parameters": {"width": 3}}),
        ("a plugin", {"factory": "{folder}/mine.py:clean"}),
    ],
)
def test_code_that_only_the_store_names_is_refused(
    pruner: str, changed: dict[str, Any], suite: Write, tmp_path: Path
) -> None:
    path, store = suite(pruner), tmp_path / "theirs"
    _run(path, tmp_path / "store")
    (tmp_path / "store").rename(store)
    filled = {
        k: v.replace("{folder}", str(tmp_path)) if isinstance(v, str) else v
        for k, v in changed.items()
    }
    key = _tamper(store, **filled)
    with pytest.raises(StoreError, match=rf"does not name.*--trust-store.*store rm {key}"):
        _run(path, store)
    assert not (tmp_path / "cleaned").exists()
    Store(store).remove(key)
    assert _run(path, store).exit_status == 0


def test_an_architecture_that_is_none_is_damage(suite: Write, tmp_path: Path) -> None:
    path, store = suite("checkpoint"), tmp_path / "theirs"
    _run(path, tmp_path / "store")
    (tmp_path / "store").rename(store)
    key = _tamper(store, classes=[])
    with pytest.raises(StoreError, match=rf"no 'architecture'.*store rm {key}"):
        _run(path, store)


def test_a_trusted_store_may_name_code(suite: Write, tmp_path: Path) -> None:
    path, store = suite("checkpoint"), tmp_path / "theirs"
    _run(path, tmp_path / "store")
    (tmp_path / "store").rename(store)
    _tamper(store, factory="mine.py:clean")
    assert _run(path, store, trust_store=True).exit_status == 0
    assert (tmp_path / "cleaned").exists()
