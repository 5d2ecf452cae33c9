from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_records import read_records

import prunebench as pb
from prunebench import RequestError
from prunebench.record import read_record
from prunebench.store import Store

Write = Callable[..., Path]
QUICK = Path(__file__).parent.parent.parent / "benchmarks" / "quick.yaml"


def _run(path: Path, store: Path, **options: Any) -> pb.Results:
    return pb.run(path, store=store, tracking_uri="", device="cpu", quiet=True, **options)


def _command(suite: Path, store: Path, *options: str) -> list[str]:
    start = [sys.executable, "-m", "prunebench", "run", str(suite), "--store", str(store)]
    return [*start, "--tracking-uri", "", "--device", "cpu", *options]


def _journal(store: Path) -> list[str]:
    journal = store / "journal.jsonl"
    return [json.loads(line)["key"] for line in journal.read_text().splitlines()]


@pytest.mark.slow
def test_a_suite_gives_a_record_for_each_network(toy_suite: Write, tmp_path: Path) -> None:
    results = _run(toy_suite(), tmp_path / "store")
    assert results.exit_status == 0
    assert [record.role for record in results.records] == [
        "baseline",
        "floor",
        "control",
        *["compressed"] * 4,
    ]
    baseline, floor, control, l1, *_ = results.records
    assert baseline.mean("sp2ps/grad-cam") == pytest.approx(1)
    assert control.reached.weights == floor.reached.weights == 0
    assert set(floor.values) >= {"sp2ps/grad-cam", "sp2ps/toy-cam"}
    assert "accuracy" not in floor.values  # nothing but how little of the maps it preserves
    assert floor.mean("sp2ps/grad-cam") < control.mean("sp2ps/grad-cam")
    assert l1.axis == "masked"
    assert l1.reached.weights == pytest.approx(0.3, abs=0.002)
    accuracy = l1.values["accuracy"]
    assert (accuracy.n, accuracy.interval) == (60, "bootstrap over images")
    assert l1.values["sp2ps/grad-cam"].n == 20
    drop = l1.mean("accuracy_drop")
    assert drop == pytest.approx(baseline.mean("accuracy") - l1.mean("accuracy"))
    assert l1.images_seen == 120
    assert {heat.cam for heat in l1.heatmaps} == {None, "grad-cam", "toy-cam"}
    table = results.to_pandas()
    assert len(table) == 7
    rescaled = results.rescaled().set_index(["pruner", "value"])["rescaled"]
    assert rescaled["none", "sp2ps/grad-cam"] == pytest.approx(1)
    assert rescaled["random-weights", "sp2ps/grad-cam"] == pytest.approx(0)
    assert "sp2ps/toy-cam" in table.columns
    assert "l1-unstructured" in results.leaderboard()
    for path in (tmp_path / "store" / "records").rglob("*.json"):
        assert read_record(path).id == path.stem


@pytest.mark.slow
def test_the_excerpt_of_a_record_makes_its_row_again(toy_suite: Write, tmp_path: Path) -> None:
    import yaml

    results = _run(toy_suite(seeds="[0, 3]"), tmp_path / "store")
    record = next(r for r in results.records if r.pruner == "random-unstructured" and r.seed == 3)
    (tmp_path / "excerpt.yaml").write_text(yaml.safe_dump(record.suite_excerpt))
    again = _run(tmp_path / "excerpt.yaml", tmp_path / "elsewhere")
    same = next(r for r in again.records if r.role == "compressed")
    assert same.keys == record.keys
    assert same.values == record.values


@pytest.mark.slow
def test_a_finished_suite_computes_nothing_again(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run(toy_suite(), tmp_path / "store")
    before = _journal(tmp_path / "store")
    monkeypatch.setattr(
        "prunebench.execution.tasks._compute", lambda *args: pytest.fail("computed again")
    )
    again = _run(toy_suite(), tmp_path / "store")
    assert again.records == first.records
    assert _journal(tmp_path / "store") == before


@pytest.mark.slow
def test_a_new_metric_costs_its_arithmetic_only(toy_suite: Write, tmp_path: Path) -> None:
    _run(toy_suite(), tmp_path / "store")
    before = set(_journal(tmp_path / "store"))
    _run(toy_suite(metrics="[accuracy, params, sp2ps, soft-iou]"), tmp_path / "store")
    new = [key for key in _journal(tmp_path / "store") if key not in before]
    assert {Store(tmp_path / "store").read(key).kind for key in new} == {"scored"}
    assert len(new) == 7 * 2


@pytest.mark.slow
def test_two_variants_of_a_metric_are_two_values(toy_suite: Write, tmp_path: Path) -> None:
    metrics = "[top-overlap, {top-overlap: {share: 0.3}}, sam, {sam: {variant: jet}}]"
    results = _run(toy_suite(metrics=metrics, cams="[grad-cam]"), tmp_path / "store")
    values = results.records[-1].values
    names = {"top_overlap", "top_overlap(share=0.3)", "sam", "sam_jet", "zero_map_fraction"}
    assert set(values) == {f"{name}/grad-cam" for name in names}
    few, many = values["top_overlap/grad-cam"], values["top_overlap(share=0.3)/grad-cam"]
    assert few.mean != many.mean
    assert len(results.records[-1].keys["cells"]) == 4


@pytest.mark.slow
def test_quality_and_ground_truth_of_baseline_and_compressed_alike(
    toy_suite: Write, tmp_path: Path
) -> None:
    metrics = "[adcc, average-drop, insertion, max-sensitivity, pointing-game]"
    results = _run(
        toy_suite(metrics=metrics, cams="[grad-cam, toy-noise]", seeds="[3]"), tmp_path / "store"
    )
    assert results.exit_status == 0, results.failed
    assert [record.role for record in results.records] == [
        "baseline",
        "control",
        *["compressed"] * 4,
    ]  # nothing compares maps, so there is no floor
    for record in results.records:
        for name in ("adcc", "average_drop", "insertion_auc", "max_sensitivity"):
            value = record.values[f"{name}/grad-cam"]
            assert value.mean is not None
            assert value.mean >= 0
        pointing = record.values["pointing_game/toy-noise"]
        assert pointing.mean is None
        assert pointing.reason == "the data set has neither masks nor boxes"
    store = Store(tmp_path / "store")
    kinds = [store.read(key).kind for key in store.stored_keys()]
    assert kinds.count("masked") == 6 * 2
    # What reads masked images and predictions runs no network.
    before = set(_journal(tmp_path / "store"))
    _run(
        toy_suite(metrics="[coherency, complexity, increase]", cams="[grad-cam]", seeds="[3]"),
        tmp_path / "store",
    )
    new = [key for key in _journal(tmp_path / "store") if key not in before]
    assert {store.read(key).kind for key in new} == {"scored"}


@pytest.mark.slow
def test_a_failed_step_is_tried_again_and_the_rest_goes_on(
    toy_suite: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = toy_suite(metrics="[accuracy, toy-crash]", cams=None)
    monkeypatch.setenv("TOY_CRASH", "1")
    results = _run(path, tmp_path / "store")
    assert results.exit_status == 1
    assert len(results.failed) == 6
    assert all("told to fail" in message for message in results.failed.values())
    assert results.records[0].values["toy_crash"].mean is None
    assert "told to fail" in str(results.records[0].values["toy_crash"].reason)
    assert results.records[0].values["accuracy"].mean is not None
    assert len(Store(tmp_path / "store").failures()) == 6
    monkeypatch.delenv("TOY_CRASH")
    before = len(_journal(tmp_path / "store"))
    assert _run(path, tmp_path / "store").exit_status == 0
    assert len(_journal(tmp_path / "store")) == before + 6
    assert Store(tmp_path / "store").failures() == []


@pytest.mark.slow
def test_what_depends_on_a_failure_is_blocked(toy_suite: Write, tmp_path: Path) -> None:
    masked = "{l1-unstructured: {scope: layerwise}}"  # leaves a weight in each layer
    path = toy_suite(pruners=f"[l1-filter, {masked}]", levels="[0.3, 0.968]")
    results = _run(path, tmp_path / "store")
    assert len(results.failed) == 1
    assert "without channels" in next(iter(results.failed.values()))
    assert results.blocked > 0
    told = [(r.pruner_name, r.level, bool(r.values)) for r in results.records if r.level]
    assert told == [
        ("l1-filter", 0.3, True),
        ("l1-filter", 0.968, False),
        ("l1-unstructured", 0.3, True),
        ("l1-unstructured", 0.968, True),
    ]


@pytest.mark.slow
def test_structured_pruning_is_dense_and_survives_the_store(
    toy_suite: Write, tmp_path: Path
) -> None:
    path = toy_suite(pruners="[{l1-filter: {target: channels}}, random-filter]", levels="[0.5]")
    results = _run(path, tmp_path / "store")
    assert results.exit_status == 0
    filters = results.records[3]
    assert filters.axis == "dense"
    assert filters.reached.macs > 0.3
    assert filters.pruner == "l1-filter(target=channels)"


@pytest.mark.slow
def test_rounds_with_preparations_and_checkpoints_run(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(pruners="[toy-lottery]", levels=None)
    results = _run(path, tmp_path / "store")
    assert results.exit_status == 0
    rounds = [record for record in results.records if record.round]
    assert [record.round for record in rounds] == [1, 2, 3]
    removed = [record.reached.weights for record in rounds]
    assert removed == pytest.approx([0.2, 0.36, 0.488], abs=0.01)
    assert [record.images_seen for record in rounds] == [120, 240, 360]


@pytest.mark.slow
def test_force_does_a_step_again_with_all_that_depends_on_it(
    toy_suite: Write, tmp_path: Path
) -> None:
    _run(toy_suite(), tmp_path / "store")
    before = len(_journal(tmp_path / "store"))
    _run(toy_suite(), tmp_path / "store", force=["toy-cam"])
    again = _journal(tmp_path / "store")[before:]
    kinds = [Store(tmp_path / "store").read(key).kind for key in again]
    assert sorted(kinds) == ["explained"] * 7 + ["scored"] * 7
    with pytest.raises(RequestError, match="did you mean 'toy-cam'"):
        _run(toy_suite(), tmp_path / "store", force=["toy-cm"])


@pytest.mark.slow
def test_a_time_limit_stops_between_steps(toy_suite: Write, tmp_path: Path) -> None:
    results = _run(toy_suite(), tmp_path / "store", max_time=0)
    assert results.undone > 0
    assert results.exit_status == 1
    assert _run(toy_suite(), tmp_path / "store").exit_status == 0


@pytest.mark.slow
def test_where_chooses_what_is_run(toy_suite: Write, tmp_path: Path) -> None:
    chosen = 'pruner == "random-unstructured" and cam == "toy-cam"'
    results = _run(toy_suite(), tmp_path / "store", where=chosen)
    assert {record.pruner for record in results.records} == {
        "baseline",
        "none",
        "random-unstructured",
        "random-weights",
    }
    assert "accuracy" not in results.records[-1].values
    complete = _run(toy_suite(), tmp_path / "store").records[-1]
    again = _run(toy_suite(), tmp_path / "store", where=chosen).records[-1]
    assert again == complete  # what is stored is not taken out of a record
    with pytest.raises(RequestError, match="no cell"):
        _run(toy_suite(), tmp_path / "store", where="seed == 9")


@pytest.mark.slow
def test_the_class_policy_and_target_layer_change_the_maps(
    toy_suite: Write, tmp_path: Path
) -> None:
    first = _run(toy_suite(), tmp_path / "store").records[-1]
    other = _run(toy_suite(explain="{images: 20, target_layer: '1'}"), tmp_path / "store").records[
        -1
    ]
    assert other.conditions.target_layer == "1"
    assert other.mean("sp2ps/grad-cam") != first.mean("sp2ps/grad-cam")
    own = _run(toy_suite(explain="{images: 20, classes: own}"), tmp_path / "store").records[-1]
    label = _run(toy_suite(explain="{images: 20, classes: label}"), tmp_path / "store").records[-1]
    assert len({own.protocol, label.protocol, first.protocol, other.protocol}) == 4


@pytest.mark.slow
def test_a_failing_explanation_leaves_the_others_alone(toy_suite: Write, tmp_path: Path) -> None:
    results = _run(toy_suite(cams="[grad-cam, toy-bad-cam]"), tmp_path / "store")
    assert len(results.failed) == 7
    assert all(record.mean("sp2ps/grad-cam") is not None for record in results.records)
    assert all(record.values["sp2ps/toy-bad-cam"].mean is None for record in results.records)


@pytest.mark.slow
def test_a_random_map_does_not_depend_on_its_company(toy_suite: Write, tmp_path: Path) -> None:
    alone = _run(toy_suite(cams="[toy-noise]", seeds="[3]"), tmp_path / "alone").records
    beside = _run(toy_suite(cams="[grad-cam, toy-noise]", seeds="[3]"), tmp_path / "beside").records
    assert [r.mean("sp2ps/toy-noise") for r in alone] == [r.mean("sp2ps/toy-noise") for r in beside]
    assert alone[1].mean("sp2ps/toy-noise") < 0.9  # two networks do not draw the same map


@pytest.mark.slow
def test_two_recoveries_are_two_protocols(toy_suite: Write, tmp_path: Path) -> None:
    both = "[{epochs: 1, lr: 1e-3}, null]"
    results = _run(toy_suite(recovery=both), tmp_path / "store")
    assert len({record.protocol for record in results.records}) == 2
    assert len({record.id for record in results.records}) == len(results.records) == 14
    assert len(read_records(tmp_path / "store")) == 14


@pytest.mark.slow
def test_what_was_removed_by_hand_is_made_again(toy_suite: Write, tmp_path: Path) -> None:
    path = toy_suite(pruners="[toy-lottery]", levels=None)
    first = _run(path, tmp_path / "store")
    store = Store(tmp_path / "store")
    store.remove(first.records[0].keys["cells"]["accuracy"])
    compressed = [k for k in store.stored_keys() if store.read(k).kind == "compressed"]
    for key in compressed:
        store.remove(key)
    again = _run(path, tmp_path / "store")
    assert again.exit_status == 0
    assert [record.values for record in again.records] == [r.values for r in first.records]
    assert all("accuracy_drop" in r.values for r in again.records if r.role != "floor")


@pytest.mark.slow
def test_a_network_of_ones_own_is_a_row(toy_suite: Write, tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torch import nn

    code = (
        "from torch import nn\n"
        "def small(classes, channels):\n"
        "    layers = nn.Conv2d(channels, 3, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)\n"
        "    return nn.Sequential(nn.Sequential(*layers[:2]), layers[2], nn.Flatten(), "
        "nn.Linear(3, classes))\n"
    )
    (tmp_path / "mine.py").write_text(code)
    scope: dict[str, Any] = {}
    exec(code, scope)
    module: nn.Module = scope["small"](2, 1)
    save_file(module.state_dict(), tmp_path / "mine.safetensors")
    mine = '[{checkpoint/mine: {model: "mine.py:small@mine.safetensors"}}]'
    path = toy_suite(pruners=mine)
    results = _run(path, tmp_path / "store")
    assert results.exit_status == 0, results.failed
    row = results.records[-1]
    assert (row.pruner_name, row.level, row.axis) == ("checkpoint/mine", None, "dense")
    assert any("another architecture" in flag for flag in row.flags)
    (tmp_path / "mine.py").rename(tmp_path / "moved.py")
    moved = toy_suite(
        pruners=mine.replace("mine.py", "moved.py"), metrics="[accuracy, params, sp2ps, ssim]"
    )
    assert _run(moved, tmp_path / "store").exit_status == 0
    save_file(nn.Linear(3, 2).state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(RequestError, match="do not fit"):
        _run(moved, tmp_path / "store")


def _run_and_kill(command: list[str], store: Path, commits: int, delay: float) -> bool:
    """Kills a run after some more commits; returns whether it was still running."""
    journal = store / "journal.jsonl"
    start = len(_journal(store)) if journal.exists() else 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if journal.exists() and len(journal.read_text().splitlines()) >= start + commits:
            time.sleep(delay)
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _kill_often(
    suite: Path, tmp_path: Path, steps: int, longest_delay: float, *options: str
) -> None:
    draw = random.Random(5)
    store = tmp_path / "killed"
    kills = 0
    for _ in range(5):
        commits = draw.randrange(steps // 7, steps // 6)
        command = _command(suite, store, *options)
        kills += _run_and_kill(command, store, commits, draw.random() * longest_delay)
    assert kills == 5
    for folder in (store, tmp_path / "calm"):
        assert subprocess.run(_command(suite, folder, *options), check=False).returncode == 0
    assert read_records(store) == read_records(tmp_path / "calm")
    journal = _journal(store)
    assert len(journal) == len(set(journal))
    assert set(journal) >= Store(tmp_path / "calm").stored_keys()


@pytest.mark.slow
def test_killed_five_times_it_ends_with_the_same_records(
    toy_suite: Write, toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(toys))
    suite = toy_suite(pruners="[l1-unstructured, random-unstructured, toy-lottery]")
    _kill_often(suite, tmp_path, 80, 0.05)


@pytest.mark.sweep
def test_the_quick_suite_killed_five_times_ends_with_the_same_records(tmp_path: Path) -> None:
    _kill_often(QUICK, tmp_path, 130, 2.0, "--where", "level < 0.5")


@pytest.mark.slow
def test_two_processes_share_the_work(
    toy_suite: Write, toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = toy_suite(metrics="[accuracy, sp2ps, toy-count]")
    environment = {
        **os.environ,
        "PYTHONPATH": str(toys),
        "TOY_MARK": str(tmp_path / "mark"),
        "OMP_NUM_THREADS": "1",
    }
    command = _command(suite, tmp_path / "store")
    both = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    journal = _journal(tmp_path / "store")
    assert len(journal) == len(set(journal))
    assert (tmp_path / "mark").read_text().count("computed") == 6
    results = _run(suite, tmp_path / "store")
    assert len(results.records) == 7


def test_an_executor_that_is_not_there_yet_says_so(toy_suite: Write, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'ray' is not there yet"):
        _run(toy_suite(), tmp_path / "store", executor="ray")
