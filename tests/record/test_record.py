from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prunebench.errors import RequestError
from prunebench.record import SCHEMA, Record, Value, read_record, slug

FIXTURES = Path(__file__).parent.parent / "leaderboard" / "fixtures"
OLD = FIXTURES / "schema-1.json"


def changed(tmp_path: Path, **fields: Any) -> Path:
    content = json.loads(OLD.read_text(encoding="utf-8"))
    content.update(fields)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_an_old_record_always_loads() -> None:
    found = read_record(OLD)
    assert found.schema_version == SCHEMA
    assert found.pruner == "l1-filter(scope=global)"
    assert found.mean("sp2ps/grad-cam") == 0.912
    assert found.mean("sp2ps/ablation-cam") is None
    assert found.reached.macs == 0.371
    assert found.heatmaps[1].cam == "grad-cam"
    assert found.curves["recovered"][1].validation_accuracy == 0.931


def test_a_record_is_written_as_it_was_read() -> None:
    found = read_record(OLD)
    assert Record.model_validate_json(found.to_json()) == found
    written, old = json.loads(found.to_json()), json.loads(OLD.read_text(encoding="utf-8"))
    later = {"pictures": {}, "moved": [], "times": {}, "classes": [], "pictures_withheld": None}
    later |= {"failure": None, "per_image": None, "recalls": [], "training": None, "changed": []}
    later |= {"reads_explanations": False}
    assert {name: written.pop(name) for name in later} == later
    assert written["conditions"].pop("versions") == {}
    assert all(one.pop("terms") == {} for curve in written["curves"].values() for one in curve)
    assert written.pop("schema_version") == SCHEMA
    assert old.pop("schema_version") == 1
    assert written == old


def test_what_schema_2_added_is_read_as_it_was_written(tmp_path: Path) -> None:
    moved = {"image": 7, "cam": "grad-cam", "sp2ps": 0.25, "baseline_class": 3, "own_class": None}
    pictures = {"png": None, "before": "AA==", "after": "AA=="}
    times = {"cpu_b1": {"baseline": [1.5, 2.0], "network": [1.0, 1.25]}}
    new = {"moved": [{**moved, **pictures}], "times": times, "classes": ["cat", "dog"]}
    path = changed(tmp_path, schema_version=SCHEMA, pictures_withheld="a licence", **new)
    found = read_record(path)
    assert found.times["cpu_b1"].network == (1.0, 1.25)
    assert (found.moved[0].sp2ps, found.moved[0].own_class) == (0.25, None)
    path.write_text(found.to_json(), encoding="utf-8")
    assert read_record(path) == found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("times", {"cpu_b1": {"baseline": [1.0] * 101, "network": [1.0]}}),
        ("classes", ["class"] * 101),
        ("moved", [{}]),
        ("moved", 7),
    ],
)
def test_what_does_not_fit_schema_2_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=rf"record\.json: {field}"):
        read_record(changed(tmp_path, schema_version=SCHEMA, **{field: value}))


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"record\.json: acuracy"):
        read_record(changed(tmp_path, acuracy=0.9))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(tmp_path: Path, number: float) -> None:
    with pytest.raises(RequestError, match=r"values\.accuracy\.mean"):
        read_record(changed(tmp_path, values={"accuracy": {"mean": number}}))


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("curves", {"curves": {"baseline": [{"epoch": 1, "loss": 1e308, "lr": 0.1}]}}),
        (
            "validation_accuracy",
            {
                "curves": {
                    "baseline": [{"epoch": 1, "loss": 1, "lr": 0.1, "validation_accuracy": 1e308}]
                }
            },
        ),
        ("values.accuracy.mean", {"values": {"accuracy": {"mean": 1e308}}}),
        ("values.accuracy.n", {"values": {"accuracy": {"mean": 0.5, "n": 10**400}}}),
        ("reached.macs", {"reached": {"weights": 0, "params": 0, "channels": 0, "macs": -1e308}}),
        ("times", {"times": {"cpu_b1": {"baseline": [1e308], "network": [1.0]}}}),
        ("images_seen", {"images_seen": 10**30}),
        ("seeds", {"seed": 0, "seeds": [0, 10**30]}),
        ("measured", {"measured": {"seconds": 10**400}}),
    ],
)
def test_every_number_has_a_range(tmp_path: Path, field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=rf"record\.json: .*{field}") as refused:
        read_record(changed(tmp_path, **fields))
    assert len(refused.value.message) < 100, "a limit in a hundred digits"


@pytest.mark.parametrize(
    "fields",
    [
        {"dataset": "\ud800"},
        {"flags": ["\udfff"]},
        {"provenance": {"processor": "\ud800"}},
        {"pruner_parameters": {"\ud800": 1}},
    ],
)
def test_half_a_character_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=rf"record\.json: {next(iter(fields))}"):
        read_record(changed(tmp_path, **fields))


def test_an_interval_that_excludes_its_mean_is_refused(tmp_path: Path) -> None:
    value = {"mean": 0.5, "low": 0.6, "high": 0.7}
    with pytest.raises(RequestError, match=r"values\.accuracy.*excludes the mean"):
        read_record(changed(tmp_path, values={"accuracy": value}))


def test_a_missing_value_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Value(mean=None)
    assert Value(mean=None, reason="both maps are zero").mean is None


def test_a_newer_schema_is_refused_as_that(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=f"has schema {SCHEMA + 1}; .*upgrade"):
        read_record(changed(tmp_path, schema_version=SCHEMA + 1, something="new"))


def test_a_seed_that_was_not_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="seed 7 is not among"):
        read_record(changed(tmp_path, seed=7))


def test_an_oversized_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="larger than 2,000,000 bytes"):
        read_record(changed(tmp_path, provenance={"log": "x" * 2_000_000}))


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(RequestError, match="is not JSON"):
        read_record(path)
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(RequestError, match="is not JSON"):
        read_record(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RequestError, match="is not JSON"):
        read_record(path)
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(RequestError, match=r"record\.json"):
        read_record(path)


@pytest.mark.parametrize("text", ["l1-filter(scope=global)", "../../x", "grad cam++", "é|`"])
def test_a_slug_is_a_safe_id(tmp_path: Path, text: str) -> None:
    assert read_record(changed(tmp_path, id=slug(text))).id == slug(text)
