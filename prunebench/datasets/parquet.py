"""Images in Parquet files, as the Hugging Face hub lays them out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import Field

from prunebench.datasets.encoded_dataset import EncodedDataset, Examples
from prunebench.errors import RequestError, did_you_mean
from prunebench.input_files import is_folder, spell

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLASSES = 100_000  # that are told from labels alone: each becomes an output of the network
SPLITS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}


class Parquet(EncodedDataset):
    """A folder with ``train.parquet`` and ``test.parquet``, or shards ``train-*.parquet``.

    Columns: ``image`` (struct with the encoded ``bytes``), ``label`` (integer) and optionally
    ``bbox`` (x0, y0, x1, y1 in pixels). Rows are counted from 0 in messages.
    """

    path: Path = Field(description="folder of the Parquet files, or the one above its data/")

    def files(self) -> list[Path]:
        """List all shards of all splits."""
        return [path for shards in self._list_shards().values() for path in shards]

    def _list_shards(self) -> dict[str, list[Path]]:
        if not is_folder(self.path):
            raise RequestError("parquet: no such folder; check `path`", where=spell(self.path))
        found = {split: _find_shards(self.path, names) for split, names in SPLITS.items()}
        for split in ("train", "test"):
            if not found[split]:
                raise RequestError(
                    f"parquet: neither {split}.parquet nor {split}-*.parquet there or in data/",
                    where=str(self.path),
                )
        return {split: shards for split, shards in found.items() if shards}

    def find_examples(self) -> tuple[dict[str, Examples], tuple[str, ...]]:
        """Read the encoded images, and the classes' names from the schema's metadata.

        The key ``class_names`` (comma-separated) or the hub's ``huggingface`` (JSON) gives the
        names; without, classes are ``class 0`` to the largest label.

        Raises:
            RequestError: A file is corrupt, or not in this layout.
        """
        splits: dict[str, Examples] = {}
        named: dict[Path, tuple[str, ...]] = {}
        for split, shards in self._list_shards().items():
            tables = [_read_table(path) for path in shards]
            named |= {
                path: _read_class_names(table) for path, table in zip(shards, tables, strict=True)
            }
            splits[split] = _make_examples(shards, tables)
        first, names = next(iter(named.items()))
        for path, others in named.items():
            if others != names:
                raise RequestError(f"its class names differ from those of {first}", where=str(path))
        names = names or _number_classes(splits)
        for examples in splits.values():
            for label, image in zip(examples.labels, examples.images, strict=True):
                if not 0 <= label < len(names):
                    raise RequestError(
                        f"label {label} is not in 0 to {len(names) - 1}", where=image.name
                    )
        return splits, names


def _number_classes(splits: Mapping[str, Examples]) -> tuple[str, ...]:
    """Return ``class 0`` to the largest label."""
    label, image = max(
        (pair for each in splits.values() for pair in zip(each.labels, each.images, strict=True)),
        key=lambda pair: pair[0],
    )
    if label >= MOST_CLASSES:
        raise RequestError(
            f"label {label}; without names of classes, {MOST_CLASSES - 1:,} at most",
            where=image.name,
        )
    return tuple(f"class {number}" for number in range(label + 1))


def _find_shards(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """Find the file or the shards of a split, in order; empty if there are none."""
    for parent in (folder, folder / "data"):
        for name in names:
            for pattern in (f"{name}.parquet", f"{name}-*.parquet"):
                found = sorted(parent.glob(pattern))
                if found:
                    _refuse_missing_shards(found)
                    return found
    return []


def _refuse_missing_shards(found: list[Path]) -> None:
    """Count shards that say how many there are, as in ``train-00000-of-00002.parquet``."""
    promised = found[0].stem.rpartition("-of-")[2]
    if promised.isdigit() and int(promised) != len(found):
        raise RequestError(
            f"parquet: {promised} shards expected, found {len(found)}", where=str(found[0])
        )


def _read_table(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def refuse(problem: str) -> NoReturn:
        raise RequestError(f"parquet: {problem}", where=str(path))

    try:
        schema = pq.read_schema(path)
        for column in ("image", "label"):
            if (count := schema.names.count(column)) > 1:
                refuse(f"{count} columns are called {column!r}; expected one")
            if not count:
                refuse(f"no column {column!r}; {did_you_mean(column, schema.names)}")
        image, label = schema.field("image").type, schema.field("label").type
        if not (pa.types.is_struct(image) and image.get_field_index("bytes") >= 0):
            refuse(f"column 'image' must be a struct with 'bytes', found {image}")
        if not pa.types.is_integer(label):
            refuse(f"column 'label' must hold integers, found {label}")
        columns = [name for name in ("image", "label", "bbox") if name in schema.names]
        # One file at a time: a folder named like a partition must not become a column.
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise RequestError(f"parquet: cannot be read: {error}", where=str(path)) from error


def _make_examples(shards: list[Path], tables: list[pa.Table]) -> Examples:
    import pyarrow.compute as pc

    from prunebench.datasets.image_files import Encoded

    images: list[Encoded] = []
    labels: list[int] = []
    boxes: list[list[float]] = []
    for path, table in zip(shards, tables, strict=True):
        contents = pc.struct_field(table["image"], "bytes").to_pylist()
        for row, (content, label) in enumerate(
            zip(contents, table["label"].to_pylist(), strict=True)
        ):
            name = f"{path}, row {row}"
            if content is None or label is None:
                raise RequestError(
                    f"no {'image bytes' if content is None else 'label'}", where=name
                )
            images.append(Encoded(content, name))
            labels.append(label)
        if "bbox" in table.column_names:
            boxes += [
                _check_box(box, f"{path}, row {row}")
                for row, box in enumerate(table["bbox"].to_pylist())
            ]
    if not images:
        raise RequestError("parquet: no rows", where=str(shards[0]))
    if boxes and len(boxes) != len(images):
        raise RequestError(
            "parquet: some shards have a column 'bbox', some not", where=str(shards[0])
        )
    return Examples(images, labels, boxes or None)


def _check_box(box: Any, name: str) -> list[float]:
    numbers = isinstance(box, list) and all(isinstance(v, int | float) for v in box)
    if not (numbers and len(box) == 4 and box[0] <= box[2] and box[1] <= box[3]):
        raise RequestError(f"bbox must be x0, y0, x1, y1 in pixels, found {box}", where=name)
    return [float(value) for value in box]


def _read_class_names(table: pa.Table) -> tuple[str, ...]:
    metadata = table.schema.metadata or {}
    try:
        if b"class_names" in metadata:
            text = metadata[b"class_names"].decode("utf-8", "backslashreplace")
            return tuple(name.strip() for name in text.split(","))
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return tuple(map(str, features["label"]["names"]))
    except (ValueError, KeyError, TypeError, RecursionError):  # not the hub's, or no JSON
        return ()
