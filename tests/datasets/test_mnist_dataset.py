"""IDX files: against torchvision, and every way in which they can be wrong."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from prunebench.data import Data, Split
from prunebench.datasets.idx import read_idx
from prunebench.datasets.mnist import FILES, FashionMnist, Mnist
from prunebench.errors import RequestError
from prunebench.plugins import choose

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write(folder: Path, *, zipped: bool = False, train: int = 40, test: int = 15) -> Path:
    """Writes noise with labels in MNIST's four files."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, (count, 28, 28), np.uint8)
        labels = random.integers(0, 10, count).astype(np.uint8)
        for name, array in (
            (f"{prefix}-images-idx3-ubyte", images),
            (f"{prefix}-labels-idx1-ubyte", labels),
        ):
            if zipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


@pytest.mark.parametrize(
    ("plugin", "reference"),
    [(Mnist, torchvision.datasets.MNIST), (FashionMnist, torchvision.datasets.FashionMNIST)],
)
def test_images_and_labels_are_those_torchvision_reads(
    tmp_path: Path, plugin: type[Mnist], reference: type[torchvision.datasets.MNIST]
) -> None:
    write(tmp_path / reference.__name__ / "raw")
    data = plugin(root=tmp_path, validation=0.25).load()
    train, test = reference(str(tmp_path), train=True), reference(str(tmp_path), train=False)
    assert torch.equal(data.test.pixels[torch.arange(15)][:, 0], test.data)
    assert torch.equal(data.test.labels, test.targets)
    assert (len(data.train), len(data.validation)) == (30, 10)
    found = {
        image.numpy().tobytes(): int(label)
        for split in (data.train, data.validation)
        for image, label in zip(split.pixels[torch.arange(len(split))], split.labels, strict=True)
    }
    expected = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(train.data, train.targets, strict=True)
    }
    assert len(expected) == 40
    assert found == expected
    for own, name in zip(data.class_names, reference.classes, strict=True):
        assert own.lower() in name.lower()  # "0" in "0 - zero"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_every_layout_is_found(tmp_path: Path, place: str, zipped: bool) -> None:
    folder = write(tmp_path / "root" / place, zipped=zipped)
    dataset = Mnist(root=tmp_path / "root")
    assert {path.parent.resolve() for path in dataset.files()} == {folder.resolve()}
    assert len(dataset.load().test) == 15


def test_gzipped_and_plain_files_are_the_same_data(tmp_path: Path) -> None:
    plain = Mnist(root=write(tmp_path / "plain")).load()
    zipped = Mnist(root=write(tmp_path / "zipped", zipped=True)).load()
    everything = torch.arange(len(plain.train))
    assert torch.equal(plain.train.pixels[everything], zipped.train.pixels[everything])


@pytest.mark.slow
def test_real_mnist(shared_data: Callable[[str], Path]) -> None:
    data = Mnist(root=shared_data("mnist")).load()
    assert (len(data.train), len(data.validation)) == (54_000, 6_000)
    assert data.test.labels[:4].tolist() == [7, 2, 1, 0]
    normalised = data.normalisation(data.train.pixels[torch.arange(54_000)])
    assert normalised.mean().abs() < 0.01
    assert (normalised.std() - 1).abs() < 0.01


def everything(split: Split) -> torch.Tensor:
    """All images of a split, N×28×28."""
    return split.pixels[torch.arange(len(split))][:, 0]


def write_drawings(folder: Path, *, train: int = 40, test: int = 15) -> Path:
    """Writes images that are black but for a bright square of their own in MNIST's four files."""
    write(folder, train=train, test=test)
    random = np.random.default_rng(1)
    for name, count in ((TRAIN_IMAGES, train), (TEST_IMAGES, test)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 10:18, 10:18] = random.integers(1, 256, (count, 8, 8))
        (folder / name).write_bytes(idx(images))
    return folder


@pytest.mark.parametrize("plugin", [Mnist, FashionMnist])
@pytest.mark.parametrize("bound", [0.2, 1.0])
def test_noise_is_uniform_on_black_pixels_and_nowhere_else(
    tmp_path: Path, plugin: type[Mnist], bound: float
) -> None:
    folder = write_drawings(tmp_path / "root", train=400)
    clean, noisy = plugin(root=folder).load(), plugin(root=folder, noise=bound).load()
    for name in ("train", "validation", "test"):
        before, after = getattr(clean, name), getattr(noisy, name)
        assert torch.equal(after.masks, before.masks)  # the object is that of the clean image
        assert torch.equal(after.labels, before.labels)
        black = everything(before) == 0
        assert torch.equal(everything(after)[~black], everything(before)[~black])
        assert everything(after)[black].max() <= round(bound * 255)
    drawn = everything(noisy.train)[everything(clean.train) == 0].double() / 255
    tenths = torch.arange(1, 10) / 10
    # Of n draws a quantile is off by less than 1/sqrt(n), and rounding by half of 1/255.
    allowed = bound / len(drawn) ** 0.5 + 1 / 510
    assert (drawn.quantile(tenths.double()) - bound * tenths).abs().max() < allowed


def test_no_two_images_have_the_same_noise(tmp_path: Path) -> None:
    data = Mnist(root=write_drawings(tmp_path / "root"), noise=0.2).load()
    images = torch.cat([everything(split) for split in (data.train, data.validation, data.test)])
    assert len({image[:10].numpy().tobytes() for image in images}) == 55


def test_an_image_has_its_noise_whatever_is_around_it(tmp_path: Path) -> None:
    torch.manual_seed(1)
    few = Mnist(root=write_drawings(tmp_path / "few"), noise=0.2, validation=0.1).load()
    torch.manual_seed(2)
    folder = write_drawings(tmp_path / "more", test=2100)
    images = (tmp_path / "few" / TEST_IMAGES).read_bytes()[16:]  # after the header
    longer = (folder / TEST_IMAGES).read_bytes()
    (folder / TEST_IMAGES).write_bytes(longer[:16] + images + longer[16 + len(images) :])
    before = torch.get_rng_state()
    more = Mnist(root=folder, noise=0.2, validation=0.5).load()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(everything(more.test)[:15], everything(few.test))

    def training(data: Data) -> set[bytes]:
        splits = (data.train, data.validation)
        return {image.numpy().tobytes() for split in splits for image in everything(split)}

    assert training(more) == training(few)


def test_without_noise_the_data_are_as_they_were(tmp_path: Path) -> None:
    folder = write_drawings(tmp_path / "root")
    assert Mnist(root=folder, noise=0.0).changed_parameters() == {}
    data = Mnist(root=folder, noise=0.0).load()
    images = read_idx(folder / TEST_IMAGES, 3)
    assert torch.equal(everything(data.test), images)
    assert data.test.masks is not None
    assert torch.equal(data.test.masks, images)


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan"), "some"])
def test_noise_has_a_bound_between_0_and_1(bound: object) -> None:
    with pytest.raises(RequestError, match="noise"):
        choose("datasets", "mnist", {"noise": bound})


def test_debians_fashion_mnist_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FashionMnist.elsewhere == (Path("/usr/share/datasets/fashion-mnist"),)
    system = write(tmp_path / "system", zipped=True)
    monkeypatch.setattr(FashionMnist, "elsewhere", (system,))
    dataset = FashionMnist(root=tmp_path / "nothing")
    assert {path.parent for path in dataset.files()} == {system}
    dataset.fetch()  # nothing to download
    with pytest.raises(RequestError):
        Mnist(root=tmp_path / "nothing").files()


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = write(tmp_path / "MNIST" / "raw")
    (folder / TEST_LABELS).unlink()
    with pytest.raises(RequestError, match=f"{folder}: .*no {TEST_LABELS}.*prunebench run.*root"):
        Mnist(root=tmp_path).files()


def test_a_failed_download_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: object) -> None:
        raise RuntimeError("no mirror answers")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", unreachable)
    with pytest.raises(RequestError, match=r"could not download MNIST .*no mirror answers"):
        Mnist(root=tmp_path).fetch()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 3, 0.5, -1])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, zipped: bool, kept: float) -> None:
    path = write(tmp_path / "root", zipped=zipped) / (f"{name}.gz" if zipped else name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept == 0.5 else int(kept)])
    with pytest.raises(RequestError, match=f"{path}: truncated"):
        Mnist(root=tmp_path / "root").load()


def overwrite(name: str, content: bytes) -> Callable[[Path], Path]:
    def apply(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return apply


@pytest.mark.parametrize(
    ("corrupt", "problem"),
    [
        (overwrite(TRAIN_LABELS, idx(np.zeros((40, 28, 28), np.uint8))), "magic number 2049"),
        (overwrite(TRAIN_IMAGES, idx(np.zeros(40, np.uint8))), "truncated|magic number 2051"),
        (overwrite(TRAIN_IMAGES, idx(np.zeros((40, 28, 28), np.uint8)) + b"!"), "too long"),
        (overwrite(TRAIN_IMAGES, idx(np.zeros((40, 14, 14), np.uint8))), "28×28 expected"),
        (overwrite(TRAIN_LABELS, idx(np.zeros(39, np.uint8))), "39 labels for the 40 images"),
        (overwrite(TEST_LABELS, idx(np.full(15, 10, np.uint8))), "labels from 0 to 9"),
    ],
)
def test_a_wrong_file_is_named(
    tmp_path: Path, corrupt: Callable[[Path], Path], problem: str
) -> None:
    path = corrupt(write(tmp_path / "root"))
    with pytest.raises(RequestError, match=problem) as refusal:
        Mnist(root=tmp_path / "root").load()
    assert refusal.value.where == str(path)


def test_the_shape_is_the_headers(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "x").write_bytes(idx(array))
    assert np.array_equal(read_idx(tmp_path / "x", 3).numpy(), array)


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_CACHE", str(tmp_path))
    assert Mnist().root == tmp_path
    monkeypatch.delenv("PRUNEBENCH_CACHE")
    assert Mnist().root == Path.home() / ".cache" / "prunebench"
