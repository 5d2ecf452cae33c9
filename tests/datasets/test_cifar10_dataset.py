"""CIFAR-10 from small batches in its format, and pickles that must never be opened."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torchvision.datasets import CIFAR10

from prunebench.datasets.cifar10 import CLASS_NAMES, FILES, FOLDER, Cifar10
from prunebench.errors import RequestError


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Batches of 20 images, and torchvision told that theirs are the published checksums."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in FILES[:-1]:
        content = {
            "data": random.integers(0, 256, (20, 3072), np.uint8),
            "labels": random.integers(0, 10, 20).tolist(),
        }
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CLASS_NAMES)}))
    sums = {name: md5(folder / name) for name in FILES}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in FILES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    return tmp_path


def test_the_files_are_those_torchvision_publishes() -> None:
    published = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    assert sorted(FILES) == sorted([*published, CIFAR10.meta["filename"]])
    assert CIFAR10.base_folder == FOLDER


def test_images_and_labels_are_those_torchvision_reads(root: Path) -> None:
    data = Cifar10(root=root, validation=0.2).load()
    assert (len(data.train), len(data.validation), len(data.test)) == (80, 20, 20)
    assert data.shape == (3, 32, 32)
    assert list(data.class_names) == CIFAR10(str(root)).classes
    test = CIFAR10(str(root), train=False)
    for i in range(20):
        image, label = test[i]
        expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        assert torch.equal(data.test.pixels[torch.tensor([i])][0], expected)
        assert data.test.labels[i] == label
    train = CIFAR10(str(root), train=True)
    expected_train = sorted(
        (np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes(), label)
        for image, label in zip(train.data, train.targets, strict=True)
    )
    found = sorted(
        (image.numpy().tobytes(), int(label))
        for split in (data.train, data.validation)
        for image, label in zip(split.pixels[torch.arange(len(split))], split.labels, strict=True)
    )
    assert found == expected_train


class Trap:
    """A pickle that leaves a file behind when somebody opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", FILES)
def test_a_tampered_file_is_refused_before_it_is_unpickled(root: Path, name: str) -> None:
    mark, path = root / "opened", root / FOLDER / name
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()  # the trap works
    mark.unlink()
    path.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(RequestError, match="not the published file") as refusal:
        Cifar10(root=root).load()
    assert refusal.value.where == str(path)
    assert not mark.exists()


def test_torchvision_itself_refuses_a_tampered_batch(root: Path) -> None:
    # The second lock on the same door: should ours be forgotten, this one must still hold.
    (root / FOLDER / "data_batch_3").write_bytes(pickle.dumps(Trap(root / "opened")))
    with pytest.raises(RuntimeError, match="corrupted"):
        CIFAR10(str(root))
    assert not (root / "opened").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_what_to_do(root: Path, name: str) -> None:
    (root / FOLDER / name).unlink()
    with pytest.raises(RequestError, match=f"{name}: .*prunebench run.*root"):
        Cifar10(root=root).files()


def test_fetch_downloads_only_what_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(self: torchvision.datasets.CIFAR10) -> None:
        asked.append(str(self.root))
        raise OSError("no network")

    monkeypatch.setattr(CIFAR10, "download", download)
    Cifar10(root=root).fetch()
    assert asked == []
    elsewhere = root / "elsewhere"
    with pytest.raises(RequestError, match=r"could not download CIFAR10 .*no network"):
        Cifar10(root=elsewhere).fetch()
    assert asked == [str(elsewhere)]
