"""What records tell of single images, of classes and of networks that could not be made."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import prunebench as pb
from prunebench.data import Data, Normalisation, Split
from prunebench.execution.stages.predict import draw_explained_images
from prunebench.execution.stages.workspace import Workspace
from prunebench.leaderboard.board import board
from prunebench.leaderboard.outputs import write_everything
from prunebench.plugins import choose
from prunebench.record import Record, read_record
from prunebench.record.checking import RecordIndex, check_record
from prunebench.recording.changed import find_changed
from prunebench.recording.predictions import Predictions
from prunebench.store import Store

Write = Callable[..., Path]
SMALL = {"pruners": "[l1-unstructured]", "levels": "[0.9]", "recovery": None, "cams": "[grad-cam]"}


def run(path: Path, store: Path) -> list[Record]:
    found = pb.run(path, store=store, tracking_uri="", device="cpu", quiet=True)
    return found.records


def toy_images(folder: Path) -> Data:
    loaded: Data = choose("datasets", "toy-images", {"path": folder / "seed.txt"}).plugin.load()
    return loaded


def of_role(records: list[Record], role: str) -> Record:
    return next(record for record in records if record.role == role)


def problems(records: list[Record]) -> list[str]:
    others = RecordIndex(records)
    return [str(problem) for record in records for problem in check_record(record, others)]


@pytest.mark.slow
def test_each_image_and_each_class_is_as_in_the_store(toy_suite: Write, tmp_path: Path) -> None:
    records = run(toy_suite(**SMALL), tmp_path / "store")
    assert problems(records) == []
    store = Store(tmp_path / "store")
    labels = toy_images(tmp_path).test.labels
    for record in records:
        assert record.per_image is not None
        assert record.per_image.images == 20
        each = store.read(record.keys["cells"]["sp2ps/grad-cam"]).tensors["sp2ps"].numpy()
        found = record.per_image.read_sp2ps("grad-cam")
        assert found == pytest.approx(each, abs=1 / 508, nan_ok=True)
        assert (record.per_image.labels is not None) == (record.role == "baseline")
        if record.role == "floor":
            assert record.per_image.predicted is None
            assert record.recalls == ()
            continue
        right = store.read(record.keys["cells"]["accuracy"]).tensors["accuracy"]
        assert record.recalls == pytest.approx([float(right[labels == k].mean()) for k in (0, 1)])
    baseline, compressed = of_role(records, "baseline"), of_role(records, "compressed")
    assert baseline.per_image is not None
    assert compressed.per_image is not None
    true, predicted = baseline.per_image.read_labels(), compressed.per_image.read_predicted()
    assert true is not None
    assert predicted is not None
    explained = draw_explained_images(toy_images(tmp_path), 20)
    assert true.tolist() == labels[explained].tolist()
    right = store.read(compressed.keys["cells"]["accuracy"]).tensors["accuracy"][explained]
    assert (predicted == true).tolist() == right.bool().tolist()


class Stored(Predictions):
    """Predictions of four test images in three classes, of which three are explained."""

    def __init__(self, own: list[list[float]], baseline: list[list[float]]) -> None:
        labels = torch.tensor([0, 1, 1, 0])
        pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 8, 8)
        split = Split(pixels, labels)
        stored = {
            "own": torch.tensor(own),
            "baseline": torch.tensor(baseline),
            "explained": torch.tensor([0, 1, 3]),
            "unchanged": None,
            "data": Data(split, split, split, ("a", "b", "c"), Normalisation((0.5,), (0.5,))),
        }
        self.__dict__.update(stored)


BEFORE = [[9.0, 0, 0], [0, 9, 0], [0, 9, 0], [0, 9, 0]]


def test_a_recall_is_the_part_of_a_class_that_is_told_rightly() -> None:
    assert Stored(own=BEFORE, baseline=BEFORE).recalls() == (0.5, 1.0, None)


def test_the_surest_change_comes_first_and_equal_ones_in_order() -> None:
    own = [[0, 1.0, 0], [0, 0, 5], [9, 0, 0], [0, 0, 5]]
    found = find_changed(Stored(own=own, baseline=BEFORE), (), withheld=False)
    told = [(each.image, each.baseline_class, each.own_class, each.label) for each in found]
    assert told == [(1, 1, 2, 1), (3, 1, 2, 0), (0, 0, 1, 0)]  # image 2 is not explained
    assert find_changed(Stored(own=BEFORE, baseline=BEFORE), found, withheld=False) == ()
    hidden = find_changed(Stored(own=own, baseline=BEFORE), found, withheld=True)
    assert {each.png for each in hidden} == {None}


@pytest.mark.slow
def test_images_whose_class_changed_are_shown_surest_first(
    toy_suite: Write, tmp_path: Path
) -> None:
    lines = {**SMALL, "pruners": "[random-unstructured]", "levels": "[0.98]"}
    records = run(toy_suite(**lines, explain="{images: 60}"), tmp_path / "store")
    data = toy_images(tmp_path)
    compressed = of_role(records, "compressed")
    changed = compressed.changed
    assert 1 <= len(changed) <= 6
    for each in changed:
        assert each.own_class != each.baseline_class
        assert each.label == int(data.test.labels[each.image])
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(each.png or ""))))
        assert np.array_equal(pixels, data.test.pixels[each.image][0].numpy())
    assert of_role(records, "baseline").changed == ()
    hidden = run(toy_suite(**lines, explain="{images: 60, pictures: false}"), tmp_path / "store")
    withheld = of_role(hidden, "compressed").changed
    assert [each.png for each in withheld] == [None] * len(changed)
    assert [each.image for each in withheld] == [each.image for each in changed]
    assert problems(records) == problems(hidden) == []


def test_nothing_of_images_where_none_is_explained(toy_suite: Write, tmp_path: Path) -> None:
    lines = {**SMALL, "cams": None, "metrics": "[accuracy]"}
    records = run(toy_suite(**lines), tmp_path / "store")
    assert {record.per_image for record in records} == {None}
    assert {record.changed for record in records} == {()}
    assert {len(record.recalls) for record in records} == {2}
    assert problems(records) == []


@pytest.mark.slow
def test_labels_are_read_once(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(toy_suite(**SMALL), tmp_path / "store")
    monkeypatch.setattr(Workspace, "data", lambda *_: pytest.fail("the data set is loaded again"))
    assert run(toy_suite(**SMALL), tmp_path / "store") == before


@pytest.mark.slow
def test_how_a_baseline_was_trained_is_told(toy_suite: Write, tmp_path: Path) -> None:
    def training(model: str) -> pb.record.Training:
        path = toy_suite(**{**SMALL, "cams": None, "metrics": "[accuracy]"}, model=model)
        records = run(path, tmp_path / "store")
        assert all(record.training is None for record in records if record.role != "baseline")
        found = of_role(records, "baseline").training
        assert found is not None
        return found

    short = training("{toy-cnn: {training: {epochs: 1}}}")
    long = training("{toy-cnn: {training: {epochs: 3, keep: last}}}")
    wide = training("{toy-cnn: {width: 8, training: {epochs: 1}}}")
    assert (short.from_scratch, short.epochs, short.images_seen) == (True, 1, 120)
    assert (long.epochs, long.keep, long.images_seen) == (3, "last", 360)
    assert short.network == long.network != wide.network


@pytest.mark.slow
def test_a_network_that_could_not_be_made_has_a_record(toy_suite: Write, tmp_path: Path) -> None:
    lines = {**SMALL, "pruners": "[l1-filter, lrp]", "levels": "[0.3, 0.968]"}
    records = run(toy_suite(**lines), tmp_path / "store")
    failed = [record for record in records if record.failure]
    assert [(record.pruner, record.level) for record in failed] == [
        ("l1-filter", 0.968),
        ("lrp", 0.968),
    ]
    for record in failed:
        assert "without channels" in (record.failure or "")
        assert (record.axis, record.values, record.role) == ("dense", {}, "compressed")
        assert read_record(tmp_path / "store" / "records" / "toy" / f"{record.id}.json") == record
    assert problems(records) == []
    assert [r.reads_explanations for r in failed] == [False, True]
    write_everything(board(records), tmp_path / "board")
    again = run(toy_suite(**lines), tmp_path / "store")
    assert [record.failure for record in again] == [record.failure for record in records]


def test_a_later_success_takes_the_place_of_a_failure(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prunebench.pruners.weights.magnitude import L1Unstructured

    lines = {**SMALL, "cams": None, "metrics": "[accuracy]"}
    with monkeypatch.context() as broken:
        broken.setattr(L1Unstructured, "compress", lambda *_: 1 / 0)
        failed = of_role(run(toy_suite(**lines), tmp_path / "store"), "compressed")
    assert failed.failure == "ZeroDivisionError: division by zero"
    assert failed.axis == "masked"
    made = of_role(run(toy_suite(**lines), tmp_path / "store"), "compressed")
    assert made.failure is None
    assert made.id == failed.id
    assert made.values
    assert len(list((tmp_path / "store" / "records" / "toy").glob("*.json"))) == 3


def test_a_training_that_diverged_is_a_failure_of_the_control_too(
    toy_suite: Write, tmp_path: Path
) -> None:
    wild = "{epochs: 1, lr: 1e30, batch_size: 30}"
    path = toy_suite(**{**SMALL, "cams": None, "metrics": "[accuracy, params]", "recovery": wild})
    results = pb.run(path, store=tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    baseline, *failed = results.records
    assert baseline.failure is None
    assert [(r.role, r.axis, r.images_seen) for r in failed] == [
        ("control", "none", 0),
        ("compressed", "masked", 0),
    ]
    assert all((r.failure or "").startswith("DivergedError: the loss is") for r in failed)
    assert {sum(r.reached.model_dump().values()) for r in failed} == {0}
    assert problems(results.records) == []
    assert "l1-unstructured" in results.leaderboard()
    assert not results.rescaled().size
