"""scikit-learn's digits against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from prunebench.data import Data
from prunebench.datasets.digits import Digits
from prunebench.errors import RequestError


@pytest.fixture(scope="module")
def data() -> Data:
    return Digits().load()


def test_splits_have_the_sizes_documented(data: Data) -> None:
    assert [len(data.train), len(data.validation), len(data.test)] == [997, 300, 500]
    assert data.shape == (1, 32, 32)
    assert data.train.pixels[torch.tensor([0])].dtype == torch.uint8
    assert data.train.labels.dtype == torch.int64


def test_the_three_splits_are_exactly_the_images_of_scikit_learn(data: Data) -> None:
    source = load_digits()
    small = torch.from_numpy(source.images).float()[:, None] * (255 / 16)
    shown = torch.nn.functional.interpolate(small, scale_factor=4, mode="bilinear").round()
    expected = sorted(
        (image.byte().numpy().tobytes(), int(label))
        for image, label in zip(shown, source.target, strict=True)
    )
    found = sorted(
        (np.asarray(image).tobytes(), int(label))
        for split in (data.train, data.validation, data.test)
        for image, label in zip(split.pixels[torch.arange(len(split))], split.labels, strict=True)
    )
    assert found == expected
    assert len({image for image, _ in expected}) == 1797  # so that no image is in two splits


def test_normalised_training_images_are_standardised(data: Data) -> None:
    normalised = data.normalisation(data.train.pixels[torch.arange(len(data.train))])
    assert normalised.mean().abs() < 0.01
    assert (normalised.std() - 1).abs() < 0.01


def test_the_file_that_decides_the_data_is_scikit_learns_own() -> None:
    (path,) = Digits().files()
    assert path.name == "digits.csv.gz"
    assert path.is_file()


def test_a_truncated_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "digits.csv.gz"
    broken.write_bytes(Digits().files()[0].read_bytes()[:20000])
    monkeypatch.setattr(Digits, "files", lambda self: [broken])
    with pytest.raises(RequestError, match=r"digits\.csv\.gz: digits: cannot be read"):
        Digits().load()


def test_a_missing_scikit_learn_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="pip install scikit-learn"):
        Digits().files()
