from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from publishable import publishable

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.leaderboard.publish import submit
from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.record import Reached, Record, Times, Value, read_records
from prunebench.record.files import find_published
from prunebench.record.per_image import pack_classes
from prunebench.reproduction.reproduce import _find_trial, reproduce
from prunebench.reproduction.verdict import Reproduction, compare
from prunebench.store.digests import Digests
from prunebench.suite import load_suite

Write = Callable[..., Path]
PUBLISHED = Path(__file__).parent.parent.parent / "leaderboard" / "results"

SUITE = """
name: rows
dataset: digits
models: [{digits-cnn: {training: {epochs: 1, images: 200}}}]
pruners: [l1-unstructured, l1-filter]
levels: [0.3, 0.5]
recovery: [{epochs: 0}, {epochs: 1, lr: 1e-3, images: 100}]
cams: [grad-cam]
metrics: [accuracy, params, macs, sp2ps, latency: {batch: 2, repeats: 5, seconds: 0.01, threads: 1}]
seeds: [3]
explain: {images: 10, target_layer: {digits-cnn: stage3}}
"""


def run(path: Path, store: Path) -> list[Record]:
    found = pb.run(path, store=store, tracking_uri="", device="cpu", quiet=True)
    assert found.exit_status == 0, found.failed
    return found.records


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of published results."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "rows.yaml").write_text(SUITE)
    records = run(folder / "rows.yaml", folder / "store")
    submit((folder / "store" / "records" / "rows").glob("*.json"), folder / "results")
    assert len(list((folder / "results").glob("*.json"))) == len(records)
    return folder / "results"


def row(results: Path, **wanted: Any) -> Record:
    """A published row with recovery."""
    for path in sorted(results.glob("*.json")):
        record = find_published(path.stem, results)
        has = {**record.model_dump(), "recovered": (record.conditions.recovery or {})["epochs"]}
        if all(has[name] == value for name, value in {"recovered": 1, **wanted}.items()):
            return record
    raise LookupError(wanted)


def missed(found: Reproduction) -> set[str]:
    return {figure.name for figure in found.figures if figure.met is False}


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [{"role": "floor"}, {"pruner": "l1-filter", "level": 0.5}])
def test_a_row_is_made_again_from_its_record(
    results: Path, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    record = row(results, **wanted)
    found = reproduce(record, tmp_path / "store", quiet=True)
    assert found.elsewhere == ()
    assert missed(found) - {"latency_cpu_b1_ratio", "latency_cpu_b2_ratio"} == set()
    assert found.rebuilt.id == record.id
    assert found.rebuilt.keys == record.keys
    names = {figure.name for figure in found.figures}
    counts = {f"reached.{k}" for k in record.reached.model_dump()}
    predictions = {"predicted alike"} if record.per_image and record.per_image.predicted else set()
    recalls = {"largest change of a recall"} if record.recalls else set()
    assert names == {*record.values} | counts | predictions | recalls
    for figure in found.figures:
        if figure.name.endswith("_ms"):
            assert figure.met is None
        elif not record.values.get(figure.name, Value(mean=0)).measured:
            assert figure.difference == 0


@pytest.mark.slow
def test_only_what_the_row_needs_is_computed(results: Path, tmp_path: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.3)
    reproduce(record, tmp_path / "store", quiet=True)
    lines = (tmp_path / "store" / "journal.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds.count("baseline") == kinds.count("compressed") == kinds.count("recovered") == 1
    # Its own values, and the baseline's accuracy, from which the drop is taken.
    assert kinds.count("scored") == len(record.keys["cells"]) + 1


def test_a_tampered_value_is_caught(results: Path, tmp_path: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    honest = record.values["sp2ps/grad-cam"]
    better = honest.model_copy(update={"mean": (honest.high or 0)})
    # Without what would contradict it at once.
    values = {**record.values, "sp2ps/grad-cam": better}
    tampered = record.model_copy(update={"values": values, "per_image": None})
    found = reproduce(tampered, results.parent / "store", quiet=True)
    assert not found.met
    assert missed(found) == {"sp2ps/grad-cam"}
    assert reproduce(record, results.parent / "store", quiet=True).met


def test_invented_predictions_are_caught(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    assert record.per_image is not None
    predicted = record.per_image.read_predicted()
    assert predicted is not None
    classes = int(predicted.max()) + 1

    def change(share: float) -> Record:
        other = predicted.copy()
        count = max(1, round(share * len(other)))
        other[:count] = (other[:count] + 1) % classes
        packed = record.per_image.model_copy(update={"predicted": pack_classes(other, classes)})
        return record.model_copy(update={"per_image": packed})

    assert missed(compare(record, record)) == set()
    assert missed(compare(record, change(0.05))) == {"predicted alike"}
    # Another machine's network may err elsewhere, but no more often than both err.
    accurate = shifted(record, "accuracy", 0.95 - (record.mean("accuracy") or 0.0))
    here = accurate.model_copy(update={"provenance": record.provenance})
    few, many = (change(share).per_image for share in (0.05, 0.2))
    assert missed(compare(here, accurate.model_copy(update={"per_image": few}))) == set()
    beyond = compare(here, accurate.model_copy(update={"per_image": many}))
    assert missed(beyond) == {"predicted alike"}


def test_invented_recalls_are_caught(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    recalls = tuple(None if one is None else abs(one - 0.01) for one in record.recalls)
    found = compare(record, record.model_copy(update={"recalls": recalls}))
    assert missed(found) == {"largest change of a recall"}


def test_a_damaged_record_is_refused(results: Path) -> None:
    record = row(results, role="control")
    with pytest.raises(RequestError, match=r"suite_excerpt\.name: is missing"):
        reproduce(record.model_copy(update={"suite_excerpt": {}}), quiet=True)


def renamed(record: Record, **conditions: Any) -> Record:
    """The record under other conditions, with the protocol and id that fit them."""
    from prunebench.record.names import protocol_of

    changed = record.conditions.model_copy(update=conditions)
    protocol = protocol_of(changed)
    name = record.id.removesuffix(record.protocol[:6]) + protocol[:6]
    return record.model_copy(update={"conditions": changed, "protocol": protocol, "id": name})


def test_a_network_that_could_not_be_made_is_not_made_again() -> None:
    nothing = Reached(weights=0, params=0, channels=0, macs=0)
    made = publishable(axis="masked", failure="it diverged")
    failed = made.model_copy(update={"values": {}, "reached": nothing})
    with pytest.raises(RequestError, match=r"could not be made \(it diverged\)"):
        reproduce(failed)


@pytest.mark.slow
def test_other_data_is_refused_before_anything_is_computed(results: Path, tmp_path: Path) -> None:
    other = renamed(row(results, role="control"), data_digest="0" * 32)
    with pytest.raises(RequestError, match="the data is not the same"):
        reproduce(other, tmp_path / "store", quiet=True)
    assert list((tmp_path / "store" / "artefacts").iterdir()) == []


def test_a_variable_that_is_not_set_is_named(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = row(results, role="control")
    excerpt = {**record.suite_excerpt, "dataset": {"mnist": {"root": "${PRUNEBENCH_NOWHERE}/x"}}}
    with pytest.raises(RequestError, match=r"record rows-.*: \$\{PRUNEBENCH_NOWHERE\} is not set"):
        reproduce(record.model_copy(update={"suite_excerpt": excerpt}), quiet=True)


def test_a_record_does_not_choose_code_to_run(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("raise SystemExit('run')")
    record = row(results, role="control")
    excerpt = {**record.suite_excerpt, "pruners": [{"checkpoint/x": {"model": "mine.py:net"}}]}
    with pytest.raises(RequestError, match=r"Python code of its author's, mine\.py:net"):
        reproduce(record.model_copy(update={"suite_excerpt": excerpt}), quiet=True)


def test_a_variable_does_not_complete_the_name_of_code(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    (tmp_path / "mine.py").write_text("raise SystemExit('run')")
    record = row(results, role="control")
    model = f"{tmp_path}/mine.py${{DISPLAY}}"
    excerpt = {**record.suite_excerpt, "pruners": [{"checkpoint/x": {"model": model}}]}
    with pytest.raises(RequestError, match=r"Python code of its author's, .*mine\.py:0"):
        reproduce(record.model_copy(update={"suite_excerpt": excerpt}), quiet=True)


def test_a_suite_of_other_rows_is_refused(results: Path, tmp_path: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.3)
    excerpt = {**record.suite_excerpt, "pruners": ["random-unstructured"]}
    with pytest.raises(RequestError, match=r"none of them is 'l1-unstructured' at level 0\.3"):
        reproduce(record.model_copy(update={"suite_excerpt": excerpt}), tmp_path, quiet=True)


@pytest.mark.slow
def test_relative_paths_are_those_of_a_folder(toy_suite: Write, tmp_path: Path) -> None:
    pruners = "[{toy-lottery: {}}, l1-unstructured]"
    path = toy_suite(pruners=pruners, rounds="[2]", seeds="[0, 3]", name=None)
    records = run(path, tmp_path / "store")
    record = next(r for r in records if r.round == 2 and r.seed == 3)
    with pytest.raises(RequestError):
        reproduce(record, tmp_path / "elsewhere", quiet=True)
    found = reproduce(record, tmp_path / "elsewhere", folder=tmp_path, quiet=True)
    assert found.met
    assert found.rebuilt.keys == record.keys
    assert list(tmp_path.glob(".prunebench-*")) == []


def elsewhere(record: Record, **changes: Any) -> Record:
    """The record as another machine would have made it."""
    provenance = {**record.provenance, "processor": "another processor"}
    return record.model_copy(update={"provenance": provenance, **changes})


def shifted(record: Record, name: str, by: float) -> Record:
    value = record.values[name]
    parts = ("mean", "low", "high")
    changed = {p: None if (v := getattr(value, p)) is None else v + by for p in parts}
    values = {**record.values, name: value.model_copy(update=changed)}
    return elsewhere(record, values=values)


def test_elsewhere_values_may_differ_a_little(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    assert compare(record, record).elsewhere == ()
    assert compare(record, elsewhere(record)).elsewhere == (
        f"processor: {record.provenance['processor']!r} published, 'another processor' here",
    )
    value = record.values["accuracy"]
    half = ((value.high or 0) - (value.low or 0)) / 2
    assert half > 0.005
    assert compare(record, shifted(record, "accuracy", 0.9 * half)).met
    assert missed(compare(record, shifted(record, "accuracy", 1.1 * half))) == {"accuracy"}
    assert missed(compare(record, shifted(record, "params", 1))) == {"params"}  # counts are exact


def test_here_values_may_differ_by_the_order_of_sums_alone(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)

    def off(name: str, by: float) -> set[str]:
        changed = shifted(record, name, by).model_copy(update={"provenance": record.provenance})
        return missed(compare(record, changed))

    assert off("sp2ps/grad-cam", 1e-6) == set()
    assert off("sp2ps/grad-cam", 1e-4) == {"sp2ps/grad-cam"}
    assert off("accuracy", 1 / 500) == {"accuracy"}  # a single image
    assert off("macs", 1) == {"macs"}


def test_elsewhere_other_channels_may_be_removed(results: Path) -> None:
    record = row(results, pruner="l1-filter", level=0.5)
    params = record.mean("params") or 0
    assert compare(record, shifted(record, "params", 0.01 * params)).met
    assert not compare(record, shifted(record, "params", 0.2 * params)).met


def test_times_are_judged_as_ratios_alone(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    name = "latency_cpu_b1_ratio"
    ratio = record.mean(name) or 0
    slower = {k: v for k, v in record.values.items() if k.endswith("_ms")}
    slow = {k: v.model_copy(update={"mean": 50 * (v.mean or 0)}) for k, v in slower.items()}
    assert compare(record, record.model_copy(update={"values": {**record.values, **slow}})).met
    assert compare(record, shifted(record, name, 0.9 * ratio)).met  # on another machine
    assert missed(compare(record, shifted(record, name, 1.1 * ratio))) == {name}


def of_times(record: Record, ratios: list[float]) -> Record:
    """The record with such ratios of times at batch 1."""
    name = "latency_cpu_b1_ratio"
    typical = record.values[name].model_copy(update={"mean": median(ratios)})
    times = Times(baseline=(1.0,) * len(ratios), network=tuple(ratios))
    changed = {"times": {"cpu_b1": times}, "values": {**record.values, name: typical}}
    return record.model_copy(update=changed)


def test_here_times_are_held_against_how_they_spread(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    steady = [1 + 0.001 * k for k in range(-15, 16)]
    here = of_times(record, steady)
    assert compare(of_times(record, [r * 1.02 for r in steady]), here).met
    faster = [r * 0.8 for r in steady]
    assert missed(compare(of_times(record, faster), here)) == {"latency_cpu_b1_ratio"}
    # Times that spread more, as published, allow no more.
    wide = [0.8 + 0.04 * k for k in range(-15, 16)]
    assert missed(compare(of_times(record, wide), here)) == {"latency_cpu_b1_ratio"}


def test_a_record_does_not_say_what_is_a_time(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    better = record.values["accuracy"].model_copy(update={"mean": 0.99, "measured": True})
    tampered = record.model_copy(update={"values": {**record.values, "accuracy": better}})
    assert missed(compare(tampered, record)) == {"accuracy"}


def test_a_record_does_not_choose_its_tolerance(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    honest = record.values["accuracy"]
    wide = honest.model_copy(update={"mean": (honest.mean or 0) - 0.3, "low": 0.0, "high": 1.0})
    tampered = record.model_copy(update={"values": {**record.values, "accuracy": wide}})
    assert missed(compare(tampered, elsewhere(record))) == {"accuracy"}


def test_small_values_can_be_missed_elsewhere(results: Path) -> None:
    record = row(results, pruner="l1-unstructured", level=0.5)
    one = {mean: Value(mean=mean) for mean in (0.001, 0.004)}
    small, larger = (
        record.model_copy(update={"values": {**record.values, "mine": value}})
        for value in one.values()
    )
    assert missed(compare(small, elsewhere(larger))) == {"mine"}
    untrained: dict[str, Any] = {"curves": {}}
    small, larger = (each.model_copy(update=untrained) for each in (small, larger))
    assert missed(compare(small, elsewhere(larger))) == {"mine"}


def test_a_value_that_was_left_out_is_missed(results: Path) -> None:
    record = row(results, role="floor")
    values = {k: v for k, v in record.values.items() if k != "sp2ps/grad-cam"}
    less = record.model_copy(update={"values": values})
    assert missed(compare(less, record)) == {"sp2ps/grad-cam"}


def test_a_value_that_is_gone_is_not_met(results: Path) -> None:
    record = row(results, role="floor")
    gone = record.values["sp2ps/grad-cam"].model_copy(
        update={"mean": None, "low": None, "high": None, "reason": "a step failed"}
    )
    lost = record.model_copy(update={"values": {**record.values, "sp2ps/grad-cam": gone}})
    found = compare(record, lost)
    assert missed(found) == {"sp2ps/grad-cam"}
    assert "a step failed" in {figure.note for figure in found.figures}
    assert compare(lost, lost).met


def test_a_row_is_found_by_its_id_or_as_a_file(results: Path) -> None:
    path = next(results.glob("*.json"))
    assert find_published(path.stem, results) == find_published(str(path), Path("nowhere"))
    with pytest.raises(RequestError, match=f"did you mean '{path.stem}'"):
        find_published(path.stem + "x", results)
    with pytest.raises(RequestError, match=r"gone\.json: no such file"):
        find_published("gone.json", results)


@pytest.mark.slow
def test_a_row_is_found_whatever_the_order_of_its_parameters(tmp_path: Path) -> None:
    """A file's keys are sorted: ``conv10`` then comes before ``conv3``, and a label tells both."""
    rates = {"stage3": 0.4, "stage2": 0.2}
    (tmp_path / "rates.yaml").write_text(
        f"name: rates\ndataset: digits\nmodel: digits-cnn\nlevels: [0.3]\n"
        f"pruners: [{{l1-filter: {{rates: {json.dumps(rates)}}}}}]\nmetrics: [params]\n"
        "recovery: {epochs: 0}\n"
    )
    identities = Identities(load_suite(tmp_path / "rates.yaml"), Environment(), Digests())
    (trial,) = (each for each in plan_trials(identities) if each.role == "compressed")
    record = next(
        each
        for each in read_records(PUBLISHED)
        if each.role == "compressed" and each.level is not None
    )
    assert trial.pruner is not None
    ordered = json.loads(json.dumps(trial.pruner.plugin.changed_parameters(), sort_keys=True))
    changed = {
        "pruner": "l1-filter(rates={stage2: 0.2, stage3: 0.4})",
        "pruner_name": "l1-filter",
        "pruner_parameters": ordered,
        "level": 0.3,
        "seed": 0,
    }
    found = _find_trial(record.model_copy(update=changed), identities)
    assert found.network.key == trial.network.key
