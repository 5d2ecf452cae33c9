"""Images in folders: both layouts, decoding on demand, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from prunebench.comparison.image_folder import load_images
from prunebench.data import Data, batches, usual_normalisation
from prunebench.datasets.folder import Folder
from prunebench.datasets.image_files import Encoded, ImageFiles
from prunebench.errors import RequestError
from prunebench.store.digests import Digests


def draw(path: Path, value: int, size: tuple[int, int] = (6, 4)) -> Path:
    """Writes an image of noise whose first pixel tells which one it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), np.uint8)
    noise[0, 0] = value
    Image.fromarray(noise).save(path)
    return path


def fill(folder: Path, classes: Iterable[str], count: int, start: int = 0) -> None:
    for name in classes:
        for value in range(start, start + count):
            draw(folder / name / f"{value:03}.png", value)
        start += count


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """train/ and test/ with 20 and 5 images of each of two classes."""
    fill(tmp_path / "train", ["dog", "cat"], 20)
    fill(tmp_path / "test", ["dog", "cat"], 5, start=100)
    return tmp_path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Two folders of classes alone."""
    fill(tmp_path, ["dog", "cat"], 20)
    return tmp_path


def values(split: Any) -> list[int]:
    found: list[int] = split.pixels[torch.arange(len(split))][:, 0, 0, 0].tolist()
    return found


def test_a_link_to_itself_and_a_pipe_are_refused(split: Path) -> None:
    (split / "train" / "cat" / "loop.png").symlink_to("loop.png")
    with pytest.raises(RequestError, match=r"loop\.png: cannot be read: Too many levels"):
        Folder(path=split).load()
    (split / "train" / "cat" / "loop.png").unlink()
    os.mkfifo(split / "train" / "cat" / "pipe.png")
    with pytest.raises(RequestError, match=r"pipe\.png: is no regular file"):
        Folder(path=split).load()


def test_names_that_are_no_text_are_spelled_out(split: Path) -> None:
    for part in ("train", "test"):
        os.rename(bytes(split / part / "cat"), bytes(split / part) + b"/c\xff")
    os.rename(
        bytes(split / "test" / "dog" / "100.png"), bytes(split / "test" / "dog") + b"/\xff.png"
    )
    dataset = Folder(path=split)
    assert dataset.load().class_names == ("c\\udcff", "dog")
    assert Digests().of_tree(dataset.files()) == Digests().of_tree(dataset.files()[::-1])


def test_train_and_test_folders_are_the_splits(split: Path) -> None:
    data = Folder(path=split, validation=0.25).load()
    assert data.class_names == ("cat", "dog")
    assert values(data.test) == [105, 106, 107, 108, 109, 100, 101, 102, 103, 104]
    assert data.test.labels.tolist() == [0] * 5 + [1] * 5
    assert len(data.validation) == 10
    assert sorted(values(data.train) + values(data.validation)) == list(range(40))
    for part in (data.train, data.validation):
        assert part.labels.tolist() == [0 if value >= 20 else 1 for value in values(part)]
    assert data.shape == (3, 4, 6)


@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_validation_folder_is_used_and_nothing_cut(split: Path, name: str) -> None:
    fill(split / name, ["cat"], 3, start=200)
    data = Folder(path=split).load()
    assert values(data.validation) == [200, 201, 202]
    assert len(data.train) == 40


def test_classes_alone_are_cut_into_disjoint_splits(plain: Path) -> None:
    data = Folder(path=plain, test=0.25, validation=0.2).load()
    parts = [values(part) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [24, 6, 10]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(40))


def test_the_cut_depends_on_names_only(plain: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    fill(elsewhere, ["dog"], 20)
    fill(elsewhere, ["cat"], 20, start=20)
    first, second = Folder(path=plain).load(), Folder(path=elsewhere).load()
    assert values(first.test) == values(second.test)
    assert values(first.validation) == values(second.validation)


def test_files_are_the_images_and_nothing_else(plain: Path) -> None:
    (plain / "cat" / "notes.txt").write_text("not an image")
    (plain / "cat" / ".hidden.png").write_text("not an image")
    (plain / ".cache").mkdir()
    files = Folder(path=plain).files()
    assert len(files) == 40
    assert {path.suffix for path in files} == {".png"}


def test_a_class_may_be_called_train(plain: Path) -> None:
    fill(plain, ["train"], 5, start=50)
    assert Folder(path=plain).load().class_names == ("cat", "dog", "train")


def everything(data: Data) -> list[torch.Tensor]:
    return [
        part.pixels[torch.arange(len(part))] for part in (data.train, data.validation, data.test)
    ]


@pytest.mark.parametrize("options", [{}, {"size": 8}, {"channels": 1}])
def test_decoding_on_demand_equals_decoding_into_memory(plain: Path, options: Any) -> None:
    inside = Folder(path=plain, **options).load()
    demand = Folder(path=plain, memory=0, **options).load()
    assert isinstance(inside.train.pixels, torch.Tensor)
    assert isinstance(demand.train.pixels, ImageFiles)
    for a, b in zip(everything(inside), everything(demand), strict=True):
        assert torch.equal(a, b)
    assert inside.shape == demand.shape
    chosen = torch.tensor([5, 0, 5])
    assert torch.equal(demand.train.pixels[chosen], inside.train.pixels[chosen])
    assert isinstance(demand.train.subset(chosen).pixels, torch.Tensor)
    order = torch.randperm(len(inside.train), generator=torch.Generator().manual_seed(0))
    for (a, a_labels), (b, b_labels) in zip(
        batches(inside.train, inside.normalisation, 7, "cpu", order),
        batches(demand.train, demand.normalisation, 7, "cpu", order),
        strict=True,
    ):
        assert torch.equal(a, b)
        assert torch.equal(a_labels, b_labels)


def test_memory_is_counted_over_all_splits(plain: Path) -> None:
    exactly = 40 * 3 * 4 * 6 / 2**30
    assert isinstance(Folder(path=plain, memory=exactly).load().test.pixels, torch.Tensor)
    assert isinstance(Folder(path=plain, memory=exactly * 0.99).load().test.pixels, ImageFiles)


def test_pixels_are_those_of_the_file(plain: Path) -> None:
    path = draw(plain / "test" / "cat" / "a.png", 7)
    (plain / "dog").rename(plain / "away")
    fill(plain / "train", ["cat"], 3)
    data = Folder(path=plain).load()
    expected = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    assert torch.equal(data.test.pixels[torch.tensor([0])][0], expected)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_ordinary_mode_becomes_color_as_pillow_converts_it(plain: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    path = plain / "cat" / f"x.{suffix}"
    noise = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    expected = np.array(Image.open(path).convert("RGB")).transpose(2, 0, 1)
    found = torch.cat(everything(Folder(path=plain).load()))
    assert any(np.array_equal(image.numpy(), expected) for image in found)


@pytest.mark.parametrize("memory", [0, 1])
def test_more_than_eight_bits_are_refused(plain: Path, memory: float) -> None:
    path = plain / "cat" / "deep.png"
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(path)
    with pytest.raises(RequestError, match="more than 8 bits") as refusal:
        Folder(path=plain, memory=memory).load()
    assert refusal.value.where == str(path)


@pytest.mark.parametrize("memory", [0, 1])
@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0"])
def test_a_corrupt_image_is_named(plain: Path, memory: float, content: bytes) -> None:
    path = plain / "dog" / "broken.png"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="cannot be decoded") as refusal:
        Folder(path=plain, memory=memory).load()
    assert refusal.value.where == str(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_image_is_named_in_memory_and_on_demand(plain: Path, suffix: str) -> None:
    path = draw(plain / "dog" / f"broken.{suffix}", 99)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RequestError, match="cannot be decoded") as refusal:
        Folder(path=plain).load()
    assert refusal.value.where == str(path)
    data = Folder(path=plain, memory=0).load()  # the header is whole
    with pytest.raises(RequestError, match="cannot be decoded") as refusal:
        everything(data)
    assert refusal.value.where == str(path)


def test_an_image_of_another_size_is_named_or_resized(plain: Path) -> None:
    path = draw(plain / "dog" / "large.png", 99, size=(12, 8))
    with pytest.raises(RequestError, match=r"8×12.*4×6.*set `size`") as refusal:
        Folder(path=plain).load()
    assert refusal.value.where == str(path)
    assert Folder(path=plain, size=5).load().shape == (3, 5, 5)


def no_path(folder: Path) -> Path:
    return folder / "nowhere"


def no_classes(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def empty_class(folder: Path) -> Path:
    (folder / "train" / "fox").mkdir()
    return folder


def no_test(folder: Path) -> Path:
    (folder / "test").rename(folder / "other")
    return folder


def unknown_class(folder: Path) -> Path:
    draw(folder / "test" / "dogs" / "1.png", 1)
    return folder


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (no_path, "nowhere: folder: no such folder; check `path`"),
        (no_classes, "empty: folder: no folders of classes"),
        (empty_class, "train/fox: folder: no images there"),
        (no_test, "there is train/, but no test/"),
        (unknown_class, "class 'dogs' has no training images; did you mean 'dog'"),
    ],
)
def test_a_wrong_layout_is_refused(
    split: Path, change: Callable[[Path], Path], problem: str
) -> None:
    with pytest.raises(RequestError, match=problem):
        Folder(path=change(split)).files()


def test_too_few_images_for_a_cut_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "cat" / "1.png", 1)
    with pytest.raises(RequestError, match="1 images are too few"):
        Folder(path=tmp_path).load()


def test_links_inside_are_followed_and_links_out_refused(
    plain: Path, tmp_path_factory: Any
) -> None:
    (plain / "cat" / "again.png").symlink_to(plain / "cat" / "020.png")
    assert len(Folder(path=plain).files()) == 41
    outside = draw(tmp_path_factory.mktemp("outside") / "fox" / "1.png", 1)
    for link, target in (
        (plain / "cat" / "out.png", outside),
        (plain / "cat" / "dangling.png", plain / "nothing.png"),
        (plain / "fox", outside.parent),
    ):
        link.symlink_to(target)
        with pytest.raises(RequestError, match="link out of the data set") as refusal:
            Folder(path=plain).files()
        assert refusal.value.where == str(link)
        link.unlink()


def test_the_folder_itself_may_be_a_link(plain: Path, tmp_path_factory: Any) -> None:
    link = tmp_path_factory.mktemp("links") / "data"
    link.symlink_to(plain)
    assert len(Folder(path=link).files()) == 40


def test_compare_sees_the_images_of_a_folder_as_a_suite_does(tmp_path: Path) -> None:
    paths = [
        draw(tmp_path / "dog" / "tall.png", 90, size=(9, 31)),
        draw(tmp_path / "dog" / "wide.png", 40, size=(24, 10)),
    ]
    folder = Folder(path=tmp_path, size=8)
    seen = folder.normalisation()
    assert seen == usual_normalisation(3)
    images, _ = load_images(tmp_path, 8, seen.mean, seen.std)
    files = ImageFiles([Encoded(path, path.name) for path in paths], 3, (8, 8), folder.fit)
    assert torch.equal(seen(files[torch.arange(2)]), images)
