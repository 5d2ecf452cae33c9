"""STL-10 from a few images in its binary format, against torchvision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import STL10

from prunebench.datasets.stl10 import CLASS_NAMES, FOLDER, Stl10
from prunebench.errors import RequestError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 10)):
        random.integers(0, 256, (count, 3, 96, 96), np.uint8).tofile(folder / f"{split}_X.bin")
        (np.arange(count) % 10 + 1).astype(np.uint8).tofile(folder / f"{split}_y.bin")
    return tmp_path


def test_images_and_labels_are_those_torchvision_reads(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)
    data = Stl10(root=root, validation=0.2).load()
    train, test = STL10(str(root), split="train"), STL10(str(root), split="test")
    image, label = test[3]  # upright, as people look at it
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert torch.equal(data.test.pixels[torch.tensor([3])][0], expected)
    assert data.test.labels[3] == label
    assert np.array_equal(data.test.pixels[torch.arange(10)].numpy(), test.data)
    assert (len(data.train), len(data.validation)) == (16, 4)
    found = {
        image.numpy().tobytes(): int(label)
        for split in (data.train, data.validation)
        for image, label in zip(split.pixels[torch.arange(len(split))], split.labels, strict=True)
    }
    assert found == {
        image.tobytes(): int(label) for image, label in zip(train.data, train.labels, strict=True)
    }
    assert data.shape == (3, 96, 96)
    assert len(CLASS_NAMES) == data.classes == 10


def cut(folder: Path) -> Path:
    path = folder / "train_X.bin"
    path.write_bytes(path.read_bytes()[:-1])
    return path


def empty(folder: Path) -> Path:
    (folder / "test_X.bin").write_bytes(b"")
    return folder / "test_X.bin"


def fewer_labels(folder: Path) -> Path:
    (folder / "test_y.bin").write_bytes(bytes([1] * 9))
    return folder / "test_y.bin"


def zero_label(folder: Path) -> Path:
    (folder / "test_y.bin").write_bytes(bytes(range(10)))
    return folder / "test_y.bin"


@pytest.mark.parametrize(
    ("corrupt", "problem"),
    [
        (cut, "truncated"),
        (empty, "truncated"),
        (fewer_labels, "9 labels for the 10 images"),
        (zero_label, "labels from 1 to 10"),
    ],
)
def test_a_wrong_file_is_named(root: Path, corrupt: Callable[[Path], Path], problem: str) -> None:
    path = corrupt(root / FOLDER)
    with pytest.raises(RequestError, match=problem) as refusal:
        Stl10(root=root).load()
    assert refusal.value.where == str(path)


def test_a_missing_file_is_named_with_what_to_do(root: Path) -> None:
    (root / FOLDER / "test_y.bin").unlink()
    with pytest.raises(RequestError, match=r"test_y\.bin: .*prunebench run.*root"):
        Stl10(root=root).files()
