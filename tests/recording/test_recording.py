"""What records show beside their numbers: times, what moved most, and what may not be shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prunebench as pb
from prunebench.data import Data
from prunebench.execution.stages.workspace import Workspace
from prunebench.plan.steps import Step
from prunebench.plugins import choose
from prunebench.record import Record
from prunebench.record.checking import RecordIndex, check_record
from prunebench.store import Store

Write = Callable[..., Path]
FEW = "{repeats: 5, batch: 2, warmup: 1, seconds: 0.01, threads: 1}"
METRICS = f"[accuracy, params, macs, sp2ps, {{latency: {FEW}}}]"


def run(path: Path, store: Path) -> list[Record]:
    found = pb.run(path, store=store, tracking_uri="", device="cpu", quiet=True)
    assert found.exit_status == 0, found.failed
    return found.records


def of_role(records: list[Record], role: str) -> Record:
    return next(record for record in records if record.role == role)


def pixels(png: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


@pytest.mark.slow
def test_a_recovery_that_ends_in_guessing_is_told(toy_suite: Write, tmp_path: Path) -> None:
    lines = {"levels": "[0.3]", "pruners": "[l1-unstructured]", "metrics": "[accuracy]"}
    wild = "{epochs: 2, lr: 1e4, optimizer: adam, batch_size: 30, keep: last}"
    records = run(toy_suite(recovery=wild, cams=None, **lines), tmp_path / "store")
    told = {r.role: [f for f in r.flags if "no better than guessing" in f] for r in records}
    assert {role for role, flags in told.items() if flags} == {"control", "compressed"}


@pytest.mark.slow
def test_the_images_that_moved_most(toy_suite: Write, tmp_path: Path) -> None:
    # Its variants are values of their own: what moved is told by the published one.
    metrics = METRICS.replace("sp2ps", "{sp2ps: {variant: jet}}, sp2ps")
    records = run(toy_suite(metrics=metrics), tmp_path / "store")
    assert of_role(records, "baseline").moved == ()
    store = Store(tmp_path / "store")
    data = choose("datasets", "toy-images", {"path": tmp_path / "seed.txt"}).plugin.load()
    for record in records[1:]:
        assert [moved.cam for moved in record.moved] == ["grad-cam"] * 3
        scores = store.read(record.keys["cells"]["sp2ps/grad-cam"]).tensors["sp2ps"]
        lowest = scores[~scores.isnan()].sort().values[:3].tolist()
        assert [moved.sp2ps for moved in record.moved] == lowest
        first = record.moved[0]
        assert np.array_equal(pixels(first.png or ""), data.test.pixels[first.image][0].numpy())
        assert pixels(first.before).shape == pixels(first.after).shape == (16, 16)
        assert record.classes == data.class_names
        assert first.baseline_class in range(len(record.classes))
    floor, compressed = of_role(records, "floor"), of_role(records, "compressed")
    assert compressed.moved[0].own_class in range(len(compressed.classes))
    assert floor.moved[0].own_class is None  # of random weights nothing but maps is measured


@pytest.mark.slow
def test_what_moved_is_shown_again_without_loading_the_data_set(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    before = run(toy_suite(), store)
    loaded: list[str] = []
    original = Workspace.data

    def noted(self: Workspace, step: Step) -> Data:
        loaded.append(step.key)
        return original(self, step)

    monkeypatch.setattr(Workspace, "data", noted)
    assert [record.moved for record in run(toy_suite(), store)] == [r.moved for r in before]
    assert loaded == []
    # Other maps: what moved is looked for again.
    run(toy_suite(explain="{images: 10}"), store)
    assert loaded


@pytest.mark.slow
def test_records_of_a_run_pass_the_checks(toy_suite: Write, tmp_path: Path) -> None:
    records = run(toy_suite(metrics=METRICS, seeds="[0, 1]", levels="[0.3]"), tmp_path / "store")
    others = RecordIndex(records)
    found = {r.id: [str(problem) for problem in check_record(r, others)] for r in records}
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.slow
def test_times_are_kept_beside_their_medians(toy_suite: Write, tmp_path: Path) -> None:
    records = run(toy_suite(metrics=METRICS), tmp_path / "store")
    record = of_role(records, "compressed")
    assert set(record.times) == {"cpu_b1", "cpu_b2"}
    for place, times in record.times.items():
        assert len(times.baseline) == len(times.network) == 5
        assert median(times.network) == pytest.approx(record.mean(f"latency_{place}_ms"), rel=1e-3)
        assert all(float(f"{time:.4g}") == time for time in times.network)


@pytest.mark.slow
def test_images_that_may_not_be_shown_are_left_out(toy_suite: Write, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shown = run(toy_suite(), store)
    before = Store(store).stored_keys()
    explain = "{images: 20, pictures: false}"
    records = run(toy_suite(explain=explain), store)
    assert Store(store).stored_keys() == before  # it is no part of any key
    for record, open_record in zip(records, shown, strict=True):
        assert record.id == open_record.id
        assert record.pictures_withheld == "the licence of toy-images forbids showing its images"
        assert {heat.cam for heat in record.heatmaps} == {"grad-cam", "toy-cam"}
        assert [moved.png for moved in record.moved] == [None] * len(record.moved)
        assert [m.after for m in record.moved] == [m.after for m in open_record.moved]
        assert record.pictures == {}
        assert check_record(record, records) == []


@pytest.mark.slow
def test_a_data_set_may_forbid_it_itself(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = toy_suite()
    dataset = pb.load_suite(path).datasets[0].plugin
    monkeypatch.setattr(type(dataset), "showable", False)
    (baseline, *_) = run(path, tmp_path / "store")
    assert baseline.pictures_withheld
    assert all(heat.cam for heat in baseline.heatmaps)


@pytest.mark.slow
def test_without_sp2ps_nothing_is_said_to_have_moved(toy_suite: Write, tmp_path: Path) -> None:
    records = run(toy_suite(metrics="[accuracy, ssim]"), tmp_path / "store")
    assert {record.moved for record in records} == {()}
    assert {len(record.times) for record in records} == {0}
