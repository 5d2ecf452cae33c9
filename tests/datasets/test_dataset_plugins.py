"""What holds for every data set: found by name, listed without torch, described by a card."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from prunebench.errors import RequestError
from prunebench.plugins import choose, find
from prunebench.plugins.cards import read_card

NAMES = ("digits", "mnist", "fashion-mnist", "cifar10", "stl10", "parquet", "folder")


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_has_a_card(name: str) -> None:
    card = read_card(find("datasets", name))
    assert card is not None
    assert card.summary.endswith(".")
    assert card.choices


@pytest.mark.parametrize("name", ["mnist", "cifar10", "stl10", "parquet", "folder"])
@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_of_everything_or_nothing_is_refused(name: str, share: float) -> None:
    parameters = {"path": "x"} if name in ("parquet", "folder") else {}
    with pytest.raises(RequestError, match=f"dataset '{name}': parameter 'validation'"):
        choose("datasets", name, {**parameters, "validation": share})


def test_a_place_is_no_part_of_what_a_data_set_is(tmp_path: Path) -> None:
    assert choose("datasets", "mnist", {"root": tmp_path}).plugin.changed_parameters() == {}
    assert choose("datasets", "folder", {"path": tmp_path}).plugin.changed_parameters() == {}


@pytest.mark.slow
def test_files_are_listed_without_the_heavy_libraries(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "folder" / split / "cat").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "folder" / split / "cat" / "1.png")
        (tmp_path / f"{split}.parquet").touch()
    script = f"""
import sys
from pathlib import Path
from prunebench.errors import RequestError
from prunebench.plugins import choose

nowhere = Path({str(tmp_path / "nowhere")!r})
folder = {str(tmp_path / "folder")!r}
assert len(choose("datasets", "digits").plugin.files()) == 1
assert len(choose("datasets", "parquet", {{"path": {str(tmp_path)!r}}}).plugin.files()) == 2
assert len(choose("datasets", "folder", {{"path": folder}}).plugin.files()) == 2
for name in ("mnist", "fashion-mnist", "cifar10", "stl10"):
    try:
        choose("datasets", name, {{"root": nowhere}}).plugin.files()
    except RequestError:
        pass
heavy = {{"torch", "torchvision", "sklearn", "numpy", "pyarrow", "PIL"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "stl10"])
def test_missing_files_are_an_error_that_says_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="prunebench run"):
        choose("datasets", name, {"root": tmp_path}).plugin.files()
