"""Images, Parquet, weights and files of a store with some of their bytes changed."""

# ruff: noqa: PT017 - refused or read: either is right

from __future__ import annotations

import io
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzzing import FEW, MANY, call, changed, changes, fuzz, look, replace, spoilers, spoilt
from hypothesis import strategies as st
from PIL import Image

import prunebench as pb
from prunebench.comparison.image_folder import load_images
from prunebench.datasets.image_files import FORMATS
from prunebench.datasets.parquet import Parquet
from prunebench.errors import RequestError
from prunebench.model_files.loaded_weights import load_weights
from prunebench.model_files.weights import read_weights
from prunebench.plugins import choose
from prunebench.store import Store, StoreError

ENDLESS = pytest.mark.filterwarnings("ignore")


@cache
def encoded(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind)
    return out.getvalue()


def check_image(kind: str, cut: int, at: int, filler: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.png").write_bytes(spoilt(encoded(kind), cut, at, filler))
        try:
            images, names = load_images(folder, 16, (0.5,) * 3, (0.5,) * 3)
        except RequestError as error:
            assert "a.png" in str(error)
        else:
            assert images.shape == (1, 3, 16, 16)
            assert images.isfinite().all()
            assert names == ["a.png"]


@cache
def parquet() -> bytes:
    out = io.BytesIO()
    rows = [{"bytes": encoded("PNG"), "path": None}] * 8
    pq.write_table(pa.table({"image": rows, "label": [0, 1] * 4}), out)
    return out.getvalue()


def check_parquet(cut: int, at: int, filler: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.parquet").write_bytes(parquet())
        (Path(folder) / "test.parquet").write_bytes(spoilt(parquet(), cut, at, filler))
        try:
            data = Parquet(path=Path(folder)).load()
        except RequestError as error:
            assert folder in str(error)
        else:
            assert len(data.test) >= 1


@cache
def weights(suffix: str) -> bytes:
    from safetensors.torch import save

    state = choose("models", "digits-cnn").plugin.build(10, 1, (8, 8)).state_dict()
    if suffix == ".safetensors":
        return save(state)
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def check_weights(suffix: str, cut: int, at: int, filler: bytes) -> None:
    module = choose("models", "digits-cnn").plugin.build(10, 1, (8, 8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"weights{suffix}"
        path.write_bytes(spoilt(weights(suffix), cut, at, filler))
        try:
            load_weights(module, read_weights(path), str(path))
        except RequestError as error:
            assert str(path) in str(error)
        else:
            assert all(tensor.isfinite().all() for tensor in module.state_dict().values())


LITTLE = """
name: little
dataset: digits
model: {digits-cnn: {training: {epochs: 1, images: 60}}}
pruner: l1-unstructured
levels: [0.5]
metrics: [accuracy, params]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "little.yaml").write_text(LITTLE)
    done = pb.run(folder / "little.yaml", folder / "store", "", device="cpu", quiet=True)
    assert done.exit_status == 0
    Store(folder / "store").fail("ab" * 16, "scored", "ValueError: no", "trace")
    return folder


def check_store(finished: Path, which: int, cut: int, at: int, filler: bytes) -> None:
    """Whatever file is damaged: one message, and no other file is touched."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(finished / "store", store)
        files = sorted(path for path in store.rglob("*") if path.is_file())
        damaged = files[which % len(files)]
        before = damaged.read_bytes()
        replace(damaged, spoilt(before, cut, at, filler))
        there = look(store)
        if damaged.read_bytes() != before:
            check_damage_is_named(store, damaged)
        call("store", "ls", "--store", store)
        call("plan", finished / "little.yaml", "--store", store, "--device", "cpu")
        call("submit", "little", "--store", store, "--to", Path(folder) / "results")
        assert look(store) == there


def check_damage_is_named(store: Path, damaged: Path) -> None:
    try:
        opened = Store(store, reading=True)
    except StoreError as error:
        assert damaged.name in str(error)  # store.json
        return
    if damaged.parent.name in opened.stored_keys():
        with pytest.raises(StoreError, match="store rm"):
            assert opened.read(damaged.parent.name).tensors is None


def check_artefact(finished: Path, place: int, value: Any, how: str) -> None:
    """An artefact as an older version wrote it, without digests, and of any form."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        shutil.copytree(finished / "store", store)
        path = sorted((store / "artefacts").rglob("artefact.json"))[place % 5]
        content = {k: v for k, v in json.loads(path.read_text()).items() if "digest" not in k}
        path.write_text(json.dumps(changed(content, place, value, how)))
        there = look(store)
        call("store", "ls", "--store", store)
        assert look(store) == there


KINDS = st.sampled_from(FORMATS)
SUFFIXES = st.sampled_from([".pt", ".safetensors"])
WHICH = st.integers(0, 1000)

test_images = ENDLESS(fuzz(4 * FEW, kind=KINDS, **spoilers())(check_image))
test_parquet = ENDLESS(fuzz(2 * FEW, **spoilers())(check_parquet))
test_weights = ENDLESS(fuzz(2 * FEW, suffix=SUFFIXES, **spoilers())(check_weights))
test_stores = fuzz(FEW // 2, which=WHICH, **spoilers())(check_store)
test_artefacts = fuzz(FEW // 2, **changes())(check_artefact)

sweep = pytest.mark.sweep
test_many_images = sweep(ENDLESS(fuzz(5 * MANY, kind=KINDS, **spoilers())(check_image)))
test_many_parquets = sweep(ENDLESS(fuzz(2 * MANY, **spoilers())(check_parquet)))
test_many_weights = sweep(ENDLESS(fuzz(2 * MANY, suffix=SUFFIXES, **spoilers())(check_weights)))
test_many_stores = sweep(fuzz(MANY, which=WHICH, **spoilers())(check_store))
test_many_artefacts = sweep(fuzz(MANY // 2, **changes())(check_artefact))
