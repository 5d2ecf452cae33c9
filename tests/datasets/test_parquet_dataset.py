"""Images in Parquet files: the hub's layouts, boxes, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from prunebench.datasets.parquet import Parquet
from prunebench.errors import RequestError

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(value: int, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> bytes:
    """An image of one color, width×height; its value tells which row it came from."""
    out = io.BytesIO()
    Image.new(mode, size, (value,) * 3 if mode == "RGB" else value).save(out, "PNG")
    return out.getvalue()


def write(
    path: Path,
    values: Sequence[int],
    *,
    metadata: dict[Any, Any] | None = None,
    images: Sequence[bytes | None] | None = None,
    **columns: Any,
) -> Path:
    images = [png(v) for v in values] if images is None else images
    table = {
        "image": pa.array([{"bytes": b, "path": None} for b in images], STRUCT),
        "label": pa.array([v % 2 for v in values]),
        **columns,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table).replace_schema_metadata(metadata or {}), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "train.parquet", range(30))
    write(tmp_path / "test.parquet", range(100, 110))
    return tmp_path


def values(split: Any) -> list[int]:
    """Which rows a split consists of."""
    found: list[int] = split.pixels[torch.arange(len(split))][:, 0, 0, 0].tolist()
    return found


def test_rows_become_images_with_their_labels(folder: Path) -> None:
    data = Parquet(path=folder, validation=0.2).load()
    assert values(data.test) == list(range(100, 110))
    assert len(data.validation) == 6
    assert sorted(values(data.train) + values(data.validation)) == list(range(30))
    for split in (data.train, data.validation, data.test):
        assert split.labels.tolist() == [value % 2 for value in values(split)]
        assert split.boxes is None
    assert data.shape == (3, 4, 6)
    assert data.class_names == ("class 0", "class 1")


def test_the_cut_is_the_same_every_time(folder: Path) -> None:
    first, second = (Parquet(path=folder).load() for _ in range(2))
    assert values(first.validation) == values(second.validation)
    assert values(first.train) == values(second.train)


@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_validation_file_is_used_and_nothing_cut(folder: Path, name: str) -> None:
    write(folder / f"{name}.parquet", [50, 51])
    data = Parquet(path=folder).load()
    assert values(data.validation) == [50, 51]
    assert values(data.train) == list(range(30))


def test_shards_in_the_folder_data(tmp_path: Path) -> None:
    for shard in range(3):
        name = f"train-0000{shard}-of-00003.parquet"
        write(tmp_path / "data" / name, range(10 * shard, 10 * shard + 10))
    write(tmp_path / "data" / "test-00000-of-00001.parquet", [100])
    dataset = Parquet(path=tmp_path)
    assert dataset.files()[0].name == "train-00000-of-00003.parquet"
    assert len(dataset.files()) == 4
    data = dataset.load()
    assert sorted(values(data.train) + values(data.validation)) == list(range(30))
    (tmp_path / "data" / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(RequestError, match="3 shards expected, found 2"):
        dataset.files()


HUB = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}


@pytest.mark.parametrize("metadata", [{"class_names": "cat,dog"}, {"huggingface": json.dumps(HUB)}])
def test_class_names_come_from_the_metadata(tmp_path: Path, metadata: dict[str, str]) -> None:
    write(tmp_path / "train.parquet", range(30), metadata=metadata)
    write(tmp_path / "test.parquet", [0], metadata=metadata)
    assert Parquet(path=tmp_path).load().class_names == ("cat", "dog")
    write(tmp_path / "test.parquet", [0], metadata={"class_names": "dog,cat"})
    with pytest.raises(RequestError, match=r"test\.parquet: its class names differ"):
        Parquet(path=tmp_path).load()


def test_normalisation_is_what_the_parameters_say(folder: Path) -> None:
    assert Parquet(path=folder).load().normalisation.mean == (0.5, 0.5, 0.5)
    grey = Parquet(path=folder, channels=1, mean=(0.1,), std=(0.2,)).load()
    assert (grey.normalisation.mean, grey.normalisation.std) == ((0.1,), (0.2,))
    assert grey.shape == (1, 4, 6)
    with pytest.raises(ValueError, match="one value or 3 expected"):
        Parquet(path=folder, mean=(0.1, 0.2))
    with pytest.raises(ValueError, match="greater than 0"):
        Parquet(path=folder, std=(0.0,))


def test_grey_images_among_colored_ones_become_color(folder: Path) -> None:
    write(folder / "test.parquet", [1, 2], images=[png(7, mode="L"), png(9)])
    data = Parquet(path=folder).load()
    assert (data.test.pixels[torch.tensor([0])] == 7).all()


def test_boxes_follow_their_images(folder: Path) -> None:
    write(folder / "train.parquet", range(30), bbox=[[v % 6, 0, 6, 4] for v in range(30)])
    write(folder / "test.parquet", [3, 4], bbox=[[0.0, 1.0, 3.0, 2.0], [0.0, 0.0, 6.0, 4.0]])
    data = Parquet(path=folder).load()
    assert data.test.boxes is not None
    assert data.train.boxes is not None
    assert data.test.boxes.tolist() == [[0, 1, 3, 2], [0, 0, 6, 4]]
    assert data.train.boxes[:, 0].tolist() == [value % 6 for value in values(data.train)]


@pytest.mark.parametrize("memory", [0, 1])
def test_resizing_scales_every_box_with_its_own_image(folder: Path, memory: float) -> None:
    images = [png(1, (6, 4)), png(2, (10, 40))]
    write(folder / "test.parquet", [1, 2], images=images, bbox=[[0, 1, 3, 2], [5, 10, 10, 40]])
    data = Parquet(path=folder, size=20, memory=memory).load()
    assert data.test.boxes is not None
    assert data.shape == (3, 20, 20)
    expected = torch.tensor([[0, 5, 10, 10], [10, 5, 20, 20.0]])
    assert torch.allclose(data.test.boxes, expected)


@pytest.mark.parametrize("memory", [0, 1])
def test_images_of_another_size_are_refused_by_row(folder: Path, memory: float) -> None:
    path = write(folder / "test.parquet", [1, 2], images=[png(1), png(2, (7, 4))])
    with pytest.raises(RequestError, match=r"4×7.*first training image is 4×6.*`size`") as refusal:
        Parquet(path=folder, memory=memory).load()
    assert refusal.value.where == f"{path}, row 1"


@pytest.mark.parametrize("content", [b"", b"no image", png(3)[:-30], png(3)[:20]])
def test_a_corrupt_image_is_named_by_file_and_row(folder: Path, content: bytes) -> None:
    path = write(folder / "train.parquet", range(30), images=[png(1)] * 29 + [content])
    with pytest.raises(RequestError, match="cannot be decoded") as refusal:
        Parquet(path=folder).load()
    assert refusal.value.where == f"{path}, row 29"


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"images": [png(0), None]}, "row 1: no image bytes"),
        ({"label": pa.array([1, None])}, "row 1: no label"),
        ({"label": pa.array([1, -1])}, "row 1: label -1 is not in 0 to 1"),
        ({"label": pa.array(["a", "b"])}, "must hold integers"),
        ({"image": pa.array([b"a", b"b"])}, "must be a struct with 'bytes'"),
        ({"bbox": [[0, 0, 1, 1], [0, 0, 1]]}, "row 1: bbox must be"),
        ({"bbox": [[0, 0, 1, 1], None]}, "row 1: bbox must be"),
        ({"bbox": [[0, 0, 1, 1], [3, 0, 1, 1]]}, "row 1: bbox must be"),
    ],
)
def test_a_wrong_row_or_column_is_named(folder: Path, columns: Any, problem: str) -> None:
    write(folder / "test.parquet", [0, 1], **columns)
    with pytest.raises(RequestError, match=problem) as refusal:
        Parquet(path=folder).load()
    assert "test.parquet" in str(refusal.value)


def test_a_label_beyond_the_names_is_refused(folder: Path) -> None:
    for name in ("train", "test"):
        write(folder / f"{name}.parquet", range(30), metadata={"class_names": "one"})
    with pytest.raises(RequestError, match=r"train\.parquet, row 1: label 1 is not in 0 to 0"):
        Parquet(path=folder).load()


def test_a_huge_label_makes_no_class_of_each_number(folder: Path) -> None:
    write(folder / "test.parquet", [1], label=pa.array([10**9]))
    with pytest.raises(RequestError, match=r"test\.parquet, row 0: label 1000000000; .*99,999"):
        Parquet(path=folder).load()


def test_two_columns_of_one_name_are_refused(folder: Path) -> None:
    table = pq.read_table(folder / "test.parquet")
    pq.write_table(table.append_column("label", table["label"]), folder / "test.parquet")
    with pytest.raises(RequestError, match=r"2 columns are called 'label'"):
        Parquet(path=folder).load()


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b'{"info": []}'])
def test_metadata_that_is_not_the_hubs_names_no_class(folder: Path, content: bytes) -> None:
    for split, rows in (("train", range(30)), ("test", range(100, 110))):
        write(folder / f"{split}.parquet", rows, metadata={b"huggingface": content})
    assert Parquet(path=folder).load().class_names == ("class 0", "class 1")


def test_a_missing_column_is_named_with_the_nearest(folder: Path) -> None:
    pq.write_table(pa.table({"img": [1], "label": [1]}), folder / "test.parquet")
    with pytest.raises(RequestError, match="no column 'image'; did you mean 'img'"):
        Parquet(path=folder).load()


def test_an_empty_or_broken_file_is_named(folder: Path) -> None:
    write(folder / "test.parquet", [])
    with pytest.raises(RequestError, match=r"test\.parquet: .*no rows|must hold integers"):
        Parquet(path=folder).load()
    (folder / "test.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(RequestError, match=r"test\.parquet: parquet: cannot be read"):
        Parquet(path=folder).load()


def test_a_missing_path_or_split_is_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match="nowhere: parquet: no such folder"):
        Parquet(path=folder / "nowhere").files()
    (folder / "test.parquet").unlink()
    with pytest.raises(RequestError, match=r"neither test\.parquet nor test-\*\.parquet"):
        Parquet(path=folder).files()


def test_real_boxes_at_half_size(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    source = shared_data("tinyimagenet-10")
    table = pq.read_table(source / "test.parquet").slice(0, 40)
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    full, half = Parquet(path=tmp_path).load(), Parquet(path=tmp_path, size=32).load()
    assert full.shape == (3, 64, 64)
    assert full.class_names[0] == "goldfish"
    assert full.test.boxes is not None
    assert half.test.boxes is not None
    assert full.test.boxes.tolist() == table["bbox"].to_pylist()
    assert torch.equal(half.test.boxes * 2, full.test.boxes)
    first = Image.open(io.BytesIO(table["image"][0].as_py()["bytes"])).convert("RGB")
    expected = torch.from_numpy(np.array(first)).permute(2, 0, 1)
    assert torch.equal(full.test.pixels[torch.tensor([0])][0], expected)


@pytest.mark.slow
def test_real_cifar10(shared_data: Callable[[str], Path]) -> None:
    data = Parquet(path=shared_data("cifar10-jpeg")).load()
    assert (len(data.train), len(data.validation), len(data.test)) == (45_000, 5_000, 10_000)
    assert data.test.labels.bincount().tolist() == [1000] * 10
    assert (data.train.labels.bincount() + data.validation.labels.bincount()).tolist() == [
        5000
    ] * 10
    assert data.class_names[2] == "bird"
    assert data.shape == (3, 32, 32)
    pixels = data.train.pixels[torch.arange(45_000)]
    # Lossy or not, these are the published colors of CIFAR-10.
    assert torch.allclose(
        pixels.float().mean((0, 2, 3)) / 255, torch.tensor([0.4914, 0.4822, 0.4465]), atol=2e-3
    )
