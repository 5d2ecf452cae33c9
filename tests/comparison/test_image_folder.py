"""Reading a folder of images as a network's inputs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prunebench.comparison.image_folder import load_images
from prunebench.errors import RequestError

MEAN, STD = (0.5, 0.4, 0.3), (0.5, 0.25, 0.1)


def save(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_images_are_read_in_order_and_normalised(tmp_path: Path) -> None:
    save(tmp_path / "b.png", (255, 0, 0))
    save(tmp_path / "sub" / "c.PNG", (0, 0, 255))
    save(tmp_path / "a.bmp", (0, 255, 0))
    (tmp_path / "notes.txt").write_text("no image")
    images, names = load_images(tmp_path, (4, 6), MEAN, STD)
    assert names == ["a.bmp", "b.png", "sub/c.PNG"]
    assert images.shape == (3, 3, 4, 6)
    assert images.dtype == torch.float32
    expected = torch.tensor([(1 - 0.5) / 0.5, (0 - 0.4) / 0.25, (0 - 0.3) / 0.1])
    torch.testing.assert_close(images[1, :, 2, 3], expected)
    first, names = load_images(tmp_path, (4, 6), MEAN, STD, limit=1)
    assert names == ["a.bmp"]
    assert torch.equal(first, images[:1])


def test_pixels_of_an_image_of_the_right_size_are_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images, _ = load_images(tmp_path, (7, 9), (0, 0, 0), (1, 1, 1))
    np.testing.assert_allclose(images[0].permute(1, 2, 0) * 255, pixels, atol=1e-4)


def test_a_long_image_is_cut_around_its_centre_not_squeezed(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images, _ = load_images(tmp_path, 10, (0, 0, 0), (1, 1, 1))
    assert images.min() == 1


def test_one_mean_reads_grey_whatever_the_file_holds(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (255, 255, 255))
    Image.new("RGBA", (8, 8), (0, 0, 0, 255)).save(tmp_path / "b.png")
    Image.new("P", (8, 8)).save(tmp_path / "c.gif")
    images, _ = load_images(tmp_path, 8, (0.5,), (0.5,))
    assert images.shape == (3, 1, 8, 8)
    assert images[0].unique().tolist() == [1]
    assert images[1].unique().tolist() == [-1]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"text"])
def test_corrupt_file_is_named(tmp_path: Path, content: bytes) -> None:
    save(tmp_path / "a.png", (0, 0, 0))
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(RequestError, match=r"b\.png: cannot be decoded as an image"):
        load_images(tmp_path, 8, MEAN, STD)


def test_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RequestError, match=r"half\.jpg: cannot be decoded"):
        load_images(tmp_path, 8, MEAN, STD)


def test_no_other_program_is_started_for_an_image(tmp_path: Path) -> None:
    """Pillow runs Ghostscript on EPS, whatever the file is called."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps", "EPS")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(RequestError, match=r"a\.png: cannot be decoded"):
        load_images(tmp_path, 8, MEAN, STD)


def test_more_than_8_bits_are_refused_rather_than_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(RequestError, match=r"a\.png: more than 8 bits"):
        load_images(tmp_path, 8, (0.5,), (0.5,))


def test_what_is_no_file_is_no_image(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (0, 0, 0))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert load_images(tmp_path, 8, MEAN, STD)[1] == ["a.png"]


def test_a_name_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (0, 0, 0))
    os.rename(bytes(tmp_path / "a.png"), bytes(tmp_path) + b"/\xff.png")
    assert load_images(tmp_path, 8, MEAN, STD)[1] == ["\\udcff.png"]


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no image"):
        load_images(tmp_path, 8, MEAN, STD)
    with pytest.raises(RequestError, match="no such folder"):
        load_images(tmp_path / "absent", 8, MEAN, STD)


@pytest.mark.parametrize(
    ("size", "mean", "std", "limit"),
    [
        (8, (0.5, 0.5), (0.5, 0.5), None),
        (8, (0.5,), (0.5, 0.5, 0.5), None),
        (8, (0.5,), (0.0,), None),
        ((0, 8), (0.5,), (0.5,), None),
        (10**20, (0.5,), (0.5,), None),
        (8, (0.5,), (0.5,), 0),
    ],
)
def test_options_without_sense_are_refused(
    tmp_path: Path,
    size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    limit: int | None,
) -> None:
    save(tmp_path / "a.png", (0, 0, 0))
    with pytest.raises(RequestError, match="expected"):
        load_images(tmp_path, size, mean, std, limit)
